import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.suggestions import PersonalModel
from model.suggestions.word_files import KINDS, Entry, read, write

GBOARD = """# Gboard Dictionary version:1
# Gboard Dictionary format:shortcut\tword\tlanguage_tag
omw\ton my way\ten-US
\tZanzibar\t
"""
AOSP = """dictionary=main:en,locale=en,description=English,date=1414726273,version=54
 word=the,f=222,flags=,originalFreq=222
  bigram=same,f=7
 word=omw,f=0
  shortcut=on my way,f=whitelist
 word=Zanzibar,f=12
"""

WORDS = st.text(alphabet="abcÄéझ'", min_size=1, max_size=12)


def test_what_gboard_exports_is_read() -> None:
    assert read(GBOARD) == [Entry("on my way", 1, "omw"), Entry("Zanzibar")]


def test_word_lists_of_aosp_are_read() -> None:
    assert read(AOSP) == [Entry("the", 222), Entry("on my way", 1, "omw"), Entry("Zanzibar", 12)]


def test_plain_text_is_read_with_and_without_counts() -> None:
    assert read("\ufeffZanzibar\nZanzibar\n# a comment\n\nzorb\t7\r\nzo\tmany\n") == [
        Entry("Zanzibar"),
        Entry("zorb", 7),
        Entry("zo"),
    ]


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match="no file of words"):
        read("PK\x03\x04\0\0")
    with pytest.raises(ValueError, match="choose one of plain"):
        write([], "pdf")


@pytest.mark.parametrize("kind", KINDS)
@given(entries=st.lists(st.builds(Entry, WORDS, st.integers(1, 255), st.just("")), unique_by=lambda entry: entry.word))
def test_words_that_were_written_are_read_again(kind: str, entries: list[Entry]) -> None:
    found = read(write(entries, kind))
    assert [entry.word for entry in found] == [entry.word for entry in entries]
    if kind != "gboard":
        assert found == entries


@pytest.mark.parametrize("kind", ["gboard", "aosp"])
@given(shortcuts=st.dictionaries(st.text(alphabet="abc", min_size=1, max_size=5), WORDS))
def test_shortcuts_that_were_written_are_read_again(kind: str, shortcuts: dict[str, str]) -> None:
    entries = [Entry(text, 1, short) for short, text in shortcuts.items()]
    assert read(write(entries, kind)) == entries


@given(st.text(max_size=200))
def test_any_text_gives_words_or_one_sentence(text: str) -> None:
    try:
        entries = read(text)
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either is right
    else:
        personal = PersonalModel(())
        for entry in entries:
            personal.add_word(entry.word)
