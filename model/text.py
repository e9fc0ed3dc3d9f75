"""What a message is made of: normalised words, marks, and classes of things nobody should predict.

Text is NFKC-normalised and lower-cased here, on every side alike; casing is the keyboard's business.
A *word* is a run of letters or digits with inner apostrophes, a letter having its combining marks and joiners with it
(UAX 29); a *mark* is a run of anything else. URLs, e-mail addresses, numbers, and codes such as passwords and account
numbers become one symbol per class, so that no model ever learns one. Time is linear in the text, whatever is pasted:
what is longer without white space than anybody types is a class as a whole.
"""

import functools
import unicodedata
from typing import NamedTuple

import regex

URL, EMAIL, NUMBER = "<url>", "<email>", "<number>"
CLASSES = (URL, EMAIL, NUMBER)

LETTER = r"(?:\p{L}[\p{M}\u200c\u200d]*)"
"""A letter with the marks and joiners that belong to it, as a pattern of `regex`."""

_CONJOINED = r"(?:(?<=\p{InSC=Virama}\u200d)|(?<=\p{InSC=Virama})(?<![\u0bcd\u0dca]))(?=\p{InSC=Consonant})"
"""Between two consonants that a virama makes one; Tamil and Sinhala write it as a sign of its own, unless joined."""

CLUSTERS = regex.compile(rf"\X(?:{_CONJOINED}\X)*")
"""Matches what people call a character: an extended grapheme cluster (UAX 29), or several in a conjunct."""

_UNFOLDED = str.maketrans({"ß": "ss", "œ": "oe", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "ı": "i"})
_APOSTROPHES = {"’": "'", "‘": "'", "ʼ": "'", "`": "'", "´": "'"}
_SEPARATORS = dict.fromkeys("\x1c\x1d\x1e\x1f", " ")  # white space to Python, but not to `regex`
_PLAIN = str.maketrans(_APOSTROPHES | _SEPARATORS)

MAX_WORD = 64
"""Characters of a word. A longer one was pasted: it counts as a URL does, and enters no lexicon."""

MAX_RUN = 256
"""Characters without white space, likewise; it also bounds what the patterns below look at more than once."""

# Unicode's stream-safe format (UAX 15, section 13): to put more marks on one letter in order takes quadratic time.
_TOO_MANY_MARKS = regex.compile(r"(\p{M}{30})\p{M}+")

_DOMAINS = (
    "com org net edu gov info io co ly me app dev ai tv de uk fr es it nl at ch in eu us ca au br mx ru pl se jp cn"
)
_FILES = (
    "avi bat bin cfg cpp csv css doc docx epub exe gif gz html ini ipynb iso jar java jpeg jpg js json log md mov mp3"
    " mp4 odt pdf php png ppt pptx py rb rs sh sql svg tar toml ts txt wav xls xlsx xml yaml yml zip"
)
_DOTTED = "|".join([*_DOMAINS.split(), *_FILES.split()])
_STRONG = r"#$%&*+=^~|\\@!?_"  # marks within what no word is
_TOKEN = regex.compile(
    rf"""
    (?P<pasted>(?<!\S)\S{{{MAX_RUN + 1},}})
  | (?P<plain>(?<![\w.@/\\:])[a-z]+(?:'[a-z]+)*(?=\s|[,!?;)]|\.(?:\s|$)|$))
  | (?P<email>[\w.+%-]+@[\w-]+(?:\.[\w-]+)+)
  | (?P<url>(?:[a-z][a-z0-9+.-]*://|www\.)\S+
           |(?<![\w.])[\w-]+(?:\.[\w-]+)*\.(?:{_DOTTED})\b(?![.'-]\w)(?:[/?\#:]\S*)?
           |(?<!\S)(?:~|\.{{1,2}})?/(?:[\w.-]+/?)+
           |(?<!\S)[a-z]:\\\S*
           |(?<!\S)@\w+(?:[.-]\w+)*)
  | (?P<code>(?<![^\s("'\[])(?=\S*\p{{L}})(?=\S*\p{{N}})(?=\S*[{_STRONG}][\p{{L}}\p{{N}}])\S*[\p{{L}}\p{{N}}]
            |(?<![\w'])[^\W_]+(?:_[^\W_]+)+
            |(?<![\w'-])(?=[\w-]*(?:\p{{N}}\p{{L}}+\p{{N}}|\p{{L}}\p{{N}}+\p{{L}}))[^\W_]+(?:-[^\W_]+)+(?!\w)
            |(?<![\w'-])(?=[\w-]*\p{{L}})(?=(?:[^\W_]+-)*(?!(?:19|20)\d\d\b)\d{{3,}}\b)[^\W_]+(?:-[^\W_]+){{2,}}(?!\w))
  | (?P<number>(?<![\w])\d(?:[\d.,:/-]*\d)(?!\w))
  | (?P<word>(?:{LETTER}|\p{{N}})+(?:'(?:{LETTER}|\p{{N}})+)*)
  | (?P<mark>(?:[^\p{{L}}\p{{N}}\s\x1c-\x1f])+)
    """,
    regex.VERBOSE,
)
_CLASS_OF = {"pasted": URL, "email": EMAIL, "url": URL, "number": NUMBER, "code": NUMBER}

_EVERYDAY = regex.compile(
    r"\d{1,4}(?:['-]?(?:am|pm|st|nd|rd|th|s|k|m|g|kg|mg|ml|cl|l|km|cm|mm|mi|ft|in|lbs?|oz|mins?|h|hrs?|secs?|ms|[kmgt]b|[mgk]?hz"
    r"|ers|k?w|v|x|d|p|px|er|e|è?me|ère|º|ª|uhr))?"
    r"|mp[34]|h1n1|co2|h2o|b2[bc]|p2p|y2k|[1-4]x[1-4]|g(?:7|8|20)|ps[1-5]|ww[123]|u2|c4|k9|a[345]|401k|r2d2|c3po"
    r"|gr8|l8r?|m8|h8|w8|sk8|str8|b4|2day|2nite|2mor?row?|4ever|4u|me2|u2|t2s"
)
_JUMBLED = regex.compile(r"\p{Ll}\p{Lu}.*\p{Ll}\p{Lu}|\p{Ll}\p{Lu}{2,}\p{Ll}{2}")
_LONG = 6  # letters from which on a word has a vowel
_VOWEL = regex.compile(r"[aeiouyàáâãäåæèéêëìíîïòóôõöøœùúûüýÿ]")


class Token(NamedTuple):
    """One word, mark or classed thing of a message.

    Attributes:
        symbol: what a model sees: the surface, or the name of its class.
        surface: the normalised characters that were typed.
        space_after: whether white space follows in the message.
    """

    symbol: str
    surface: str
    space_after: bool

    @property
    def is_word(self) -> bool:
        """Whether a prediction is judged here: words and numbers, not marks, addresses or links."""
        return self.symbol == NUMBER or self.symbol[0].isalnum()


def composed(text: str) -> str:
    """Return `text` with compatible characters composed (NFKC) and plain apostrophes, capitals kept."""
    return unicodedata.normalize("NFKC", _TOO_MANY_MARKS.sub(r"\1", text)).translate(_PLAIN)


def normalise(text: str) -> str:
    """Return `text` in the one form that models, lexicons and metrics share: `composed`, in lower case."""
    return composed(text).lower()


@functools.lru_cache(maxsize=100_000)
def folded(word: str) -> str:
    """Return a normalised word with base letters for accented ones and without apostrophes."""
    if word.isascii():
        return word.replace("'", "")
    plain = "".join(c for c in unicodedata.normalize("NFD", word) if not 0x300 <= ord(c) < 0x370)  # Latin's accents
    return unicodedata.normalize("NFC", plain).translate(_UNFOLDED).replace("'", "")


def is_code(word: str) -> bool:
    """Return whether a normalised word may be a password, a key or an account number rather than a word.

    Those mix letters with digits, but for what everybody writes (5pm, 2nd, mp3), or are long and have no vowel.
    """
    if not word.isalpha() and any(map(str.isdigit, word)) and any(map(str.isalpha, word)):
        return not _EVERYDAY.fullmatch(word)
    if len(word) < _LONG or not word.isascii() or _VOWEL.search(word):
        return False
    return not any(word[i] == word[i + 1] == word[i + 2] for i in range(len(word) - 2))  # hmmmm, pssst


def is_jumbled(word: str) -> bool:
    """Return whether a word, as written, changes between small letters and capitals as passwords do: kRmPvLq, paSSword.

    DuckDuckGo is taken for one, too: nothing is lost but that it is not learned.
    """
    return len(word) >= _LONG and bool(_JUMBLED.search(word))


def tokenise(text: str) -> list[Token]:
    """Split a message into its tokens, in order; white space only separates."""
    written = composed(text)
    text = written.lower()
    if len(written) != len(text):  # a few capitals have small letters of another length
        written = text
    tokens = []
    for match in _TOKEN.finditer(text):
        surface, end = match.group(), match.end()
        symbol = _CLASS_OF.get(match.lastgroup or "", surface)
        if symbol is surface and len(surface) > MAX_WORD:
            symbol = URL
        if symbol is surface and (is_code(surface) or is_jumbled(written[match.start() : end])):
            symbol = NUMBER
        tokens.append(Token(symbol, surface, space_after=end < len(text) and text[end].isspace()))
    return tokens
