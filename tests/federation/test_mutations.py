import pytest

from tests.federation.mutations import MUTATIONS, ROOT, survivors_of


def test_every_mutation_still_has_its_place_in_the_code() -> None:
    for mutation in MUTATIONS:
        path = ROOT / "federation" / mutation.module
        assert mutation.mutated(path.read_text()) != path.read_text()
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_every_mutation_is_noticed() -> None:
    assert not [mutation.name for mutation, survived in survivors_of(MUTATIONS) if survived]
