import pytest

from federation.protocol import versions


def test_the_highest_version_that_both_speak_is_spoken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "SPOKEN", (2, 3))
    assert versions.common([1, 2, 3, 9]) == 3
    assert versions.common((2,)) == 2
    assert versions.common((1, 9)) is None


@pytest.mark.parametrize("listed", [None, "1", [], [0], [True], [1.0], [[1]], [1] * 33])
def test_what_is_no_list_of_versions_is_not_read(listed: object) -> None:
    with pytest.raises(ValueError, match="versions of the protocol"):
        versions.read(listed)
