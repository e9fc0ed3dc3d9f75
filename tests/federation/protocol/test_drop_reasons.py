"""Codes on the wire and on disk are stable, sentences are for people, and what is unknown is tolerated."""

import pytest

from federation.protocol.drop_reasons import DropReason


def test_the_codes_are_those_that_were_published() -> None:
    published = "policy budget signature incompatible unsafe conditions too_little training late unreachable restarted"
    assert [reason.value for reason in DropReason] == ["", *published.split(), "left", "refused", "unknown"]


@pytest.mark.parametrize("reason", DropReason)
def test_every_reason_has_a_sentence_and_is_read_from_its_code(reason: DropReason) -> None:
    assert " " in reason.sentence
    assert DropReason.read(reason.value) is reason


def test_a_code_of_a_later_version_is_unknown() -> None:
    assert DropReason.read("moon_phase") is DropReason.UNKNOWN


@pytest.mark.parametrize("code", ["Free text", "a" * 33, "a\nb", "caf\u00e9", 3, None, ["policy"]])
def test_what_is_no_code_is_refused(code: object) -> None:
    with pytest.raises(ValueError, match="code"):
        DropReason.read(code)
