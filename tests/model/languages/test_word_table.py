from hypothesis import given
from hypothesis import strategies as st

from model.languages.word_table import Frequencies, WrittenForms

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)


@given(st.dictionaries(WORDS.map(str.lower).filter(lambda word: word == word.lower()), st.floats(-30, 0)), WORDS)
def test_frequencies_are_a_mapping_in_the_order_given(numbers: dict[str, float], other: str) -> None:
    table = Frequencies(numbers)
    assert list(table.items()) == list(numbers.items())
    assert [table.get(word) for word in numbers] == list(numbers.values())
    assert (other in table, table.get(other), table.get(other, 1.0)) == (
        other in numbers,
        numbers.get(other),
        numbers.get(other, 1.0),
    )
    least = min(numbers.values(), default=0.0) + 1
    assert table.at_least(least) == {word for word, number in numbers.items() if number >= least}


@given(st.lists(WORDS), WORDS)
def test_written_forms_are_found_by_their_small_letters_and_the_later_one_counts(forms: list[str], other: str) -> None:
    table, expected = WrittenForms(forms), {form.lower(): form for form in forms}
    assert dict(table) == expected
    assert table.get(other.lower()) == expected.get(other.lower())
    assert table.keys() >= expected.keys()


def test_what_is_no_word_is_not_there() -> None:
    table = Frequencies({"tea": -3.0})
    assert "" not in table
    assert list(WrittenForms(())) == []
