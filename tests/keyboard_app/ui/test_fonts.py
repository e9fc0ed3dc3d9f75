"""The chain of fonts: nothing that people write is drawn as a box."""

import pytest

from keyboard_app.ui import fonts
from keyboard_app.ui.fonts import MAIN, Run, font_of, runs
from model.languages.emoji import groups, tones
from model.text import CLUSTERS

OTHER_SCRIPTS = [
    "नमस्ते", "क्षत्रिय", "வணக்கம்", "স্বাগতম", "ਸਤਿ", "ગુજરાતી", "ಕನ್ನಡ", "മലയാളം", "తెలుగు", "ଓଡ଼ିଆ", "සිංහල",
    "สวัสดี", "ລາວ", "မြန်မာ", "ខ្មែរ", "ქართული", "Հայերեն", "አማርኛ", "עברית", "العربية",
]  # fmt: skip
SYMBOLS = ["⌫", "➤", "⇧", "⬆", "⇪", "←", "☰", "∆", "√", "≈", "★", "♥", "✓", "↵", "☺", "♪", "½", "…", "€", "◌ि", "◌ं"]


@pytest.mark.parametrize("text", [*OTHER_SCRIPTS, *SYMBOLS])
def test_some_font_has_every_character(text: str) -> None:
    for run in runs(text):
        files = dict((*fonts._texts(), *fonts._emoji()))
        assert all(files[run.font].has(character) for character in fonts._UNSEEN.sub("", run.text)), run


def test_every_emoji_with_every_skin_tone_has_a_font_of_emoji() -> None:
    of_emoji = {name for name, _ in fonts._emoji()}
    for group in groups().values():
        for emoji in group:
            assert {font_of(one) for one in (emoji, *tones(emoji))} <= of_emoji, emoji


@pytest.mark.parametrize(
    "text",
    ["hi 😀 you", "👨‍👩‍👧🏴󠁧󠁢󠁥󠁮󠁧󠁿", "नमस्ते and 中文", "a\u0301\u0302e", "1️⃣2", "", "only letters", "☺☺️"],
)
def test_runs_are_the_text_and_no_character_is_cut(text: str) -> None:
    found = runs(text)
    assert "".join(run.text for run in found) == text
    assert sum(len(CLUSTERS.findall(run.text)) for run in found) == len(CLUSTERS.findall(text))


def test_letters_and_digits_are_no_emoji_unless_they_are_made_so() -> None:
    assert {font_of(one) for one in "a1#*©é"} == {MAIN}
    assert font_of("1️⃣") != MAIN
    assert font_of("☺") != font_of("☺️")


def test_a_run_of_another_script_is_written_by_its_rules() -> None:
    (hindi,) = runs("हिन्दी में")
    assert (hindi.script, hindi.direction) == ("Deva", "ltr")
    assert (runs("שלום")[0].script, runs("שלום")[0].direction) == ("Hebr", "rtl")
    assert Run("a", MAIN).script == ""
