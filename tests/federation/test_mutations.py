import pytest

from tests.federation.mutations import MUTATIONS, ROOT, Mutation, first_failure, noticed, noticed_by


def test_every_mutation_still_has_its_place_in_the_code() -> None:
    for mutation in MUTATIONS:
        path = ROOT / "federation" / mutation.module
        assert mutation.mutated(path.read_text()) != path.read_text()
    names = {mutation.name for mutation in MUTATIONS}
    assert len(names) == len(MUTATIONS)
    assert noticed_by().keys() == names, "run `python -m tests.federation.mutations`, or each of these tries all tests"


@pytest.mark.slow
def test_without_a_mutation_no_test_fails() -> None:
    """Those that notice one; `uv run pytest` runs the others on the code as it is."""
    assert first_failure(lambda _: None, [*set(noticed_by().values())]) == ""


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_is_noticed(mutation: Mutation) -> None:
    assert noticed(mutation)
