"""Every language is whole, and is told from the others."""

import pytest

from model.languages import CODES, UnknownLanguageError, common_words, language, layouts
from model.languages.detection import detect, occurrences, share, warning
from model.suggestions.keys import COLUMNS, geometry
from model.text import folded, normalise, tokenise

TEXTS = {
    "en": ["see you tomorrow then", "i don't think that he would have come", "what are you doing this evening"],
    "es": ["nos vemos mañana entonces", "no creo que él hubiera venido", "qué vas a hacer esta noche con ella"],
    "de": ["wir sehen uns dann morgen", "ich glaube nicht dass er gekommen wäre", "was machst du heute abend"],
    "fr": ["on se voit demain alors", "je ne crois pas qu'il serait venu", "tu fais quoi ce soir avec elle"],
    "hi": ["कल मिलते हैं फिर", "मुझे नहीं लगता कि वह आता", "आज शाम को क्या कर रहे हो"],
}


@pytest.mark.parametrize("code", CODES)
def test_every_word_is_one_token_in_normal_form(code: str) -> None:
    words = list(language(code).words)
    assert len(words) > 20_000
    for word in words[::97]:
        assert normalise(word) == word
        assert [token.symbol for token in tokenise(word)] == [word]


@pytest.mark.parametrize("code", CODES)
def test_a_language_has_all_that_a_keyboard_asks(code: str) -> None:
    found = language(code)
    assert found.layout in layouts()
    assert found.offensive
    assert found.sensitive
    assert found.abbreviations
    assert "." in found.sentence_ends
    assert all(word.lower() == word for word in [*found.offensive, *found.sensitive])
    assert all(form.lower() == word for word, form in found.written.items())
    assert all(bare in {word.replace("'", ""), folded(word)} for bare, word in found.contractions.items())


@pytest.mark.parametrize("code", CODES)
def test_messages_tell_their_language(code: str) -> None:
    words = occurrences(TEXTS[code])
    assert detect(words).code == code
    assert warning(words, code) is None
    other = "de" if code != "de" else "hi"
    assert f"--language {code}" in str(warning(words, other))
    assert share(words, other).share < share(words, code).share


def test_what_is_no_language_fits_none() -> None:
    assert not detect(occurrences(["qwe rty uio pas dfg"])).fits
    assert "none that is known" in str(warning(occurrences(["qwe rty uio pas dfg"]), "en"))
    with pytest.raises(UnknownLanguageError, match="choose one of en, es"):
        language("xx")


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("en", "anna's"), ("en", "dog's"), ("en", "priya"), ("en", "they'll"), ("en", "nguyen"), ("en", "o'clock"),
        ("fr", "l'homme"), ("fr", "qu'elle"), ("fr", "d'anna"), ("de", "straße"), ("de", "müller"), ("es", "mañana"),
        ("es", "garcía"), ("hi", "नमस्ते"),
    ],
)  # fmt: skip
def test_words_and_names_are_known_with_what_an_apostrophe_joins(code: str, word: str) -> None:
    assert language(code).knows(word)


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("en", "dont"), ("en", "im"), ("en", "realky"), ("en", "teh"), ("en", "recieve"), ("en", "thankyou"),
        ("en", "alot"), ("en", "jhon"), ("es", "tambien"), ("es", "aqui"), ("fr", "meme"), ("fr", "etre"),
        ("de", "strasse"), ("en", "'s"),
    ],
)  # fmt: skip
def test_misspellings_are_no_words_however_often_people_write_them(code: str, word: str) -> None:
    assert not language(code).knows(word)


@pytest.mark.parametrize(
    ("code", "word", "form"),
    [
        ("en", "monday", "Monday"), ("en", "english", "English"), ("en", "i", "I"), ("en", "i'm", "I'm"),
        ("en", "iphone", "iPhone"), ("en", "london", "London"), ("en", "michael", "Michael"), ("en", "nasa", "NASA"),
        ("en", "priya's", "Priya's"), ("en", "may", "may"), ("de", "haus", "Haus"), ("de", "straße", "Straße"),
        ("de", "gehen", "gehen"), ("es", "madrid", "Madrid"), ("es", "lunes", "lunes"), ("fr", "paris", "Paris"),
        ("fr", "d'anna", "d'Anna"), ("fr", "lundi", "lundi"),
    ],
)  # fmt: skip
def test_words_are_written_as_their_language_does(code: str, word: str, form: str) -> None:
    assert language(code).written_form(word) == form


@pytest.mark.parametrize("name", sorted(layouts()))
def test_keys_of_a_layout_do_not_overlap_and_fit_the_keyboard(name: str) -> None:
    places = list(geometry(name).places.values())
    for place in places:
        assert place.left >= 0
        assert place.left + place.width <= COLUMNS + 1e-9
        for other in places:
            apart = place.top != other.top or abs(place.left - other.left) >= min(place.width, other.width) - 1e-9
            assert apart or place is other
    neighbours = geometry(name).neighbours
    assert all(letter in neighbours[other] for letter in neighbours for other in neighbours[letter])


@pytest.mark.parametrize("code", CODES)
def test_every_letter_of_common_words_is_on_the_keys_or_behind_them(code: str) -> None:
    keys = set(geometry(language(code).layout).neighbours)
    lacking = {
        letter for word in common_words(code) for letter in word if not letter.isascii() or letter.isalpha()
    } - keys
    assert not lacking or code != "hi", lacking
