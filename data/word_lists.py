# /// script
# requires-python = "==3.11.*"
# dependencies = ["codespell==2.4.1", "faker==40.63.0", "wordfreq==3.1.1"]
#
# [tool.uv]
# exclude-newer = "2026-11-25T00:00:00Z"
# ///
"""Makes the word lists of `model/languages`: `uv run data/word_lists.py`, with hunspell and its dictionaries installed.

Debian's packages hunspell, hunspell-en-us, hunspell-en-gb, hunspell-es, hunspell-de-de, hunspell-fr and hunspell-hi.
Their versions and hashes of what was made are in `model/languages/word_lists.json`, so that a list that was edited by
hand is noticed. With --derived FOLDER only what follows from other lists is made, and no dictionary is asked.
Frequencies are wordfreq's (Speer 2022, CC BY-SA 4.0), names faker's (MIT). A spelling dictionary says which of the
words are right and whether they are written with capitals. Of those that it does not know, what is one slip, accent,
apostrophe or space from a much commoner word is a misspelling and is left out; the rest is slang, brands and names.
What many people misspell in English, and what they mean, is codespell's (CC BY-SA 3.0).
"""

# Longer than others: one script, so that `uv run` needs nothing but it, and one record of what it made.

import argparse
import hashlib
import importlib
import itertools
import json
import re
import subprocess
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

import codespell_lib
import wordfreq
from faker.config import AVAILABLE_LOCALES

LANGUAGES = Path(__file__).parent.parent / "model" / "languages"
DICTIONARIES = {
    "en": ("en_US", "en_GB"),
    "es": ("es_ES", "es_MX", "es_AR"),
    "de": ("de_DE",),
    "fr": ("fr",),
    "hi": ("hi_IN",),
}
SCRIPTS = {"hi": "DEVANAGARI"}
INFORMAL = ("en", "es", "de", "fr")  # Hindi's word list has everything
WORDS, NAMES = "words.txt", "names.txt"
PACKAGES = (
    "hunspell",
    "hunspell-en-us",
    "hunspell-en-gb",
    "hunspell-es",
    "hunspell-de-de",
    "hunspell-fr",
    "hunspell-hi",
)
RECORD = "word_lists.json"

RIGHT_FROM = {"en": 2.3, "hi": 2.3}  # zipf: powers of ten a billion words
RIGHT_FROM_ELSEWHERE, OTHERS_FROM = 2.5, 2.9
LONGEST_ACRONYM = 5
RARE_NAME = 3.4
SHORT_NAME = 3  # letters up to which a name must be common to be listed
BRANDS = frozenset(
    [
        "AliExpress", "BitTorrent", "ChatGPT", "DeviantArt", "DuckDuckGo", "FaceTime", "FedEx", "GitHub",
        "GitLab", "HeliBoard", "JavaScript", "LibreOffice", "LinkedIn", "MasterCard", "McDonald's", "MySpace",
        "OnlyFans", "OpenAI", "PayPal", "PlayStation", "PowerPoint", "QuickTime", "SoundCloud", "StackOverflow",
        "TikTok", "TypeScript", "WeChat", "WhatsApp", "WordPress", "YouTube", "eBay", "iCloud", "iMac", "iOS",
        "iPad", "iPhone", "iPod", "iTunes", "macOS",
    ]
)  # fmt: skip
SLANG: Mapping[str, frozenset[str]] = {
    "en": frozenset(
        [
            "afaict", "afaik", "afk", "aight", "alrighty", "altho", "arepa", "ayyo", "backend", "bday", "becuz", "bf",
            "bff", "boba", "bottlo", "boujee", "brb", "bruh", "btw", "byee", "chai", "chook", "coulda", "coworking",
            "craic", "crunk", "cuz", "dm", "dms", "dropdown", "dunny", "eejit", "elote", "emoji", "empanada", "ez",
            "feck", "fecking", "ffs", "floof", "fomo", "ftw", "fwb", "fwbs", "fwiw", "fyi", "gainz", "gf", "gg",
            "glhf", "goated", "golang", "grwm", "gtg", "gyatt", "gyoza", "hafta", "haha", "hangry", "hashtag", "hbd",
            "hbu", "heh", "hehe", "helloo", "hench", "heyy", "hiit", "hmu", "idc", "idk", "iirc", "ikr", "ily", "imo",
            "instas", "irl", "istg", "jandals", "jk", "lmao", "lmaoo", "lmfao", "lmk", "logout", "lol", "maccas",
            "matcha", "meh", "merch", "mighta", "minging", "mlem", "mmorpg", "msg", "musta", "negroni", "nft", "ngl",
            "nonbinary", "np", "nvm", "ofc", "offboarding", "ok", "okr", "omfgg", "omg", "omw", "onboarding", "ootd",
            "otaku", "oughta", "pls", "plz", "ppl", "pupper", "pwned", "rager", "readme", "refactor", "refactored",
            "refactoring", "refactors", "rekt", "reno", "respawn", "rn", "rofl", "saas", "sanga", "sayin", "selfcare",
            "selfie", "shoulda", "signup", "sitch", "skibidi", "smh", "soz", "stan", "standup", "stanning", "stdin",
            "stdout", "struct", "structs", "summat", "sumn", "swole", "tbf", "tbh", "thx", "tldr", "tmr", "tmrw",
            "togs", "ttyl", "txt", "txts", "ty", "tysm", "udon", "uhuh", "unfollowed", "unfollows", "ur", "vlog",
            "vlogger", "vlogs", "wasteman", "wbu", "webpack", "weeb", "welp", "wfh", "whatevs", "wheesht", "wifi",
            "woulda", "wtaf", "wtf", "wyd", "xoxo", "yaml", "yas", "yeahh", "yeet", "yepp", "yess", "yinz", "ymmv",
            "yolo",
        ]
    ),
    "es": frozenset(
        [
            "acojonante", "ains", "aiva", "aki", "bareto", "bff", "bno", "broo", "bsos", "buaj", "chao", "chauu",
            "chof", "churri", "cringe", "cubatas", "currante", "curre", "currito", "curros", "dabuti", "empanado",
            "finde", "flipante", "fuchi", "garito", "ghostear", "glovo", "gordi", "grax", "guapi", "guapis", "guasap",
            "holaa", "holi", "híjole", "juas", "miarma", "molaría", "molona", "muxo", "na", "nmm", "nmms", "nps",
            "nvm", "okei", "okey", "okis", "okk", "pa", "partidazo", "perf", "petado", "peñita", "pirao", "pirarse",
            "porfaplis", "porq", "puag", "puaj", "puess", "rayao", "the", "tochazo", "toy", "tq", "tqm", "uni",
            "valee", "vamoo", "vrg", "wasap", "wei", "wno", "wueno", "xfa", "yoga",
        ]
    ),
    "de": frozenset(
        [
            "achja", "achso", "binge", "biste", "bistu", "bussl", "büdde", "dankee", "diggah", "drum", "findste",
            "gammeln", "geaddet", "gecancelt", "gechattet", "gechillt", "gedaddelt", "gedatet", "geflasht",
            "gegammelt", "gehste", "gehypt", "geilo", "gejoggt", "geliked", "gelikt", "gematcht", "geshoppt",
            "gespoilert", "glaubste", "grad", "grüezi", "hastu", "hausi", "hdgdl", "heyho", "heyy", "hii", "hiwi",
            "hmpf", "hää", "ild", "iwann", "iwas", "iwelche", "iwer", "iwie", "jaja", "jap", "jep", "juchu", "kannsu",
            "knuddel", "kussi", "liken", "lowkey", "machste", "megageil", "moinsen", "mukke", "nabend", "naja", "nee",
            "nicee", "nichso", "nochma", "ohja", "omfg", "rauf", "rizz", "rum", "rüber", "safe", "sheesh", "sorryy",
            "soso", "späti", "suppi", "sus", "the", "tschau", "verkatert", "vonner", "weisste", "weißte", "willste",
            "willsu", "wuhu", "öh", "öhm",
        ]
    ),
    "fr": frozenset(
        [
            "ajdh", "aled", "askip", "auj", "bcpp", "bicrave", "bizz", "bolos", "boloss", "bsahtek", "bsr", "bsx",
            "cbn", "chanmé", "chépa", "cmnt", "coucouu", "dacc", "deg", "dej", "deliveroo", "dem", "gadji", "gadjo",
            "goleri", "golri", "guedin", "jspp", "jtd", "jtm", "keuf", "marave", "mdrr", "mdrrr", "miskine", "mwa",
            "nan", "narvalo", "nimp", "nn", "nuitt", "oof", "oskour", "ouaip", "pkoi", "pqoi", "prsk", "psk", "ptdrr",
            "qlqch", "qlqn", "reuf", "reum", "salutt", "sem", "seum", "stalke", "stalké", "stpp", "tarpin", "the",
            "to", "ttlm", "vapote", "vrmt", "vénèr", "wkd", "xptdr", "zebi",
        ]
    ),
}  # fmt: skip
"""What no dictionary has and people write: of English in every language where it is found."""
COMMONER = {1: 9.0, 2: 9.0, 3: 3.3, 4: 2.5}  # powers of ten by which a word must be commoner than its misspelling
COMMONER_LONG = 1.7
INFORMAL_FROM, INFORMAL_FROM_ELSEWHERE = 2.0, 2.3
SHORT_MISSPELLING, MISSPELT_RARER = 4, 1.0  # letters, and zipf by which a misspelling is rarer than what is meant
LESS_OFTEN_MEANT = 1.5  # zipf by which a word must be rarer than another one that may be meant, to be left out
SPOKEN_ENDING = "in"  # for ing, on purpose
NOUN_DICTIONARIES = {"de": Path("/usr/share/hunspell/de_DE.dic")}
SHORT_INFORMAL = 3  # letters up to which a form is not taken for a slip of a commoner word
FUNCTION_WORD, OTHER_PART = 6.0, 4.6  # zipf of what is written together by mistake
UNFOLDED = str.maketrans({"ß": "ss", "œ": "oe", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "ı": "i", "'": ""})
VOWELS = frozenset("aeiouyäöüáéíóúàèìòùâêîôûãõåæœø")


def folded(word: str) -> str:
    """Return a word without accents and apostrophes."""
    plain = "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))
    return unicodedata.normalize("NFC", plain).translate(UNFOLDED)


def is_word(word: str, script: str) -> bool:
    """Return whether a word consists of a script's letters, with inner apostrophes at most."""
    parts = word.split("'")
    return all(parts) and all(
        unicodedata.category(c)[0] in "LM" and unicodedata.name(c, "").startswith(script) for c in "".join(parts)
    )


def unknown(words: Iterable[str], dictionaries: Iterable[str]) -> set[str]:
    """Return the words that none of some hunspell dictionaries has."""
    left = set(words)
    for dictionary in dictionaries:
        listed = subprocess.run(  # noqa: S603
            ["hunspell", "-l", "-i", "utf-8", "-d", dictionary],  # noqa: S607
            input="\n".join(sorted(left)),
            capture_output=True,
            text=True,
            check=True,
        )
        left &= set(listed.stdout.split("\n"))
    return left


def shorter(word: str) -> set[str]:
    """Return a word and what is left of it without one letter."""
    return {word, *(word[:i] + word[i + 1 :] for i in range(len(word)))}


def one_slip(one: str, other: str) -> bool:
    """Return whether one letter more, less, changed or swapped with the next makes one word of the other."""
    if len(one) == len(other):
        differing = [i for i in range(len(one)) if one[i] != other[i]]
        if len(differing) == 2:
            i, j = differing
            return j == i + 1 and one[i] == other[j] and one[j] == other[i]
        return len(differing) == 1
    short, long = sorted((one, other), key=len)
    return short in shorter(long)


def commonest(words: Mapping[str, float]) -> dict[str, float]:
    """Return how frequent the commonest way is to write each word, by its letters without accents."""
    found: dict[str, float] = {}
    for word, zipf in words.items():
        found[folded(word)] = max(zipf, found.get(folded(word), 0.0))
    return found


def joined(word: str, right: Mapping[str, float]) -> bool:
    """Return whether a word is two common ones without the space between them."""
    parts = [(right.get(word[:i], 0.0), right.get(word[i:], 0.0)) for i in range(1, len(word))]
    return any(min(pair) >= OTHER_PART and max(pair) >= FUNCTION_WORD for pair in parts)


def misspellings(others: Mapping[str, float], right: Mapping[str, float]) -> set[str]:
    """Return which words are slips of much commoner ones; both with their zipf frequencies."""
    index: dict[str, list[str]] = {}
    for word in right:
        for part in shorter(word):
            index.setdefault(part, []).append(word)
    accented = commonest(right)
    wrong = set()
    for word, zipf in others.items():
        least = zipf + COMMONER.get(len(word), COMMONER_LONG)
        near = itertools.chain.from_iterable(index.get(part, ()) for part in shorter(word))
        unaccented = accented.get(folded(word), 0.0) >= zipf - 0.5
        if joined(word, right) or unaccented or any(right[other] >= least and one_slip(word, other) for other in near):
            wrong.add(word)
    return wrong


def names() -> set[str]:
    """Return first names and surnames of many countries in Latin letters, as they are written."""
    found = set()
    for locale in sorted(AVAILABLE_LOCALES):
        try:
            provider = importlib.import_module(f"faker.providers.person.{locale}").Provider
        except ImportError:
            continue
        for attribute in dir(provider):
            value = getattr(provider, attribute)
            if "name" in attribute and not attribute.startswith("_") and isinstance(value, list | tuple | dict):
                found |= {part for name in value if isinstance(name, str) for part in re.split(r"[\s-]+", name)}
    mixed = (unicodedata.normalize("NFC", name.replace("’", "'")) for name in found)
    return {name for name in mixed if 2 < len(name) < 16 and name[0].isupper() and is_word(name, "LATIN")}


def sharp(word: str) -> set[str]:
    """Return ways to write a German word with ß for ss, in small letters and capitalised."""
    ways = {word[: match.start()] + "ß" + word[match.end() :] for match in re.finditer("ss", word)}
    return ways | {way.capitalize() for way in ways}


def word_list(code: str, people: Mapping[str, str], english: set[str]) -> dict[str, float]:
    """Return words as they are written within a sentence, with their zipf frequencies.

    Args:
        code: of the language.
        people: names as written, by their small letters.
        english: proper nouns of English, which other languages' dictionaries often lack.
    """
    script = SCRIPTS.get(code, "LATIN")
    frequencies = {
        word: wordfreq.zipf_frequency(word, code)
        for word in wordfreq.top_n_list(code, 400_000)
        if is_word(word, script)
    }
    frequencies = {
        word: zipf for word, zipf in frequencies.items() if zipf >= RIGHT_FROM.get(code, RIGHT_FROM_ELSEWHERE)
    }
    if code == "hi":  # its dictionary lacks too many
        return frequencies
    left = unknown(frequencies, DICTIONARIES[code])
    sharpened: dict[str, str] = {}
    if code == "de":  # the frequencies' words have ss for ß
        spellings = {spelling for word in left for spelling in sharp(word)}
        known = spellings - unknown(spellings, DICTIONARIES[code])
        sharpened = {
            word: min(sharp(word) & known, key=lambda way: (way.istitle(), way)) for word in left if sharp(word) & known
        }
        left -= sharpened.keys()
    written = {word: word for word in frequencies.keys() - left - sharpened.keys()} | sharpened
    accented = commonest({word: frequencies[word] for word in written if folded(word) != word})
    left -= {word for word in left if accented.get(word, 0.0) >= frequencies[word] - 0.5}
    slang = {
        word: max(frequencies.get(word, 0.0), OTHERS_FROM)
        for word in SLANG.get(code, frozenset()) | (left & SLANG["en"])
    }
    left -= slang.keys()
    capital = left - {word.lower() for word in unknown((w.capitalize() for w in left), DICTIONARIES[code])}
    rest = left - capital
    brands = {brand.lower(): brand for brand in BRANDS}
    short = {word for word in rest if len(word) <= LONGEST_ACRONYM}
    acronyms = (
        short - {word.lower() for word in unknown((w.upper() for w in short), DICTIONARIES[code])} - brands.keys()
    )
    rest -= acronyms
    written |= {word: word.capitalize() for word in capital} | {word: word.upper() for word in acronyms}
    right = {word: frequencies[word] for word in written}
    names = {word for word in rest if word in people or word in english}
    names -= {
        word for word in names if len(word) > SHORT_NAME and frequencies[word] < RARE_NAME and joined(word, right)
    }
    written |= {word: people.get(word, word.capitalize()) for word in names}
    written |= {word: brands[word] for word in brands.keys() & frequencies.keys()}
    right = {word: frequencies[word] for word in written}
    others = {word: frequencies[word] for word in rest - right.keys() if frequencies[word] >= OTHERS_FROM}
    wrong = misspellings(others, right)
    frequencies |= slang
    written |= {word: word for word in slang}
    written |= {word: word for word in others.keys() - wrong if VOWELS & set(word) or len(word) < 5}
    return {form: frequencies[word] for word, form in written.items()}


def often_misspelt(words: Mapping[str, float], people: Iterable[str], foreign: set[str]) -> dict[str, list[str]]:
    """Return what people write by mistake for English words, and those words, likeliest first.

    Args:
        words: English ones.
        people: names in small letters.
        foreign: words of other languages.
    """
    listed = {word.lower(): word for word in words}
    kept = listed.keys() | set(people) | foreign | SLANG["en"]
    text = (Path(codespell_lib.__file__).parent / "data" / "dictionary.txt").read_text("utf-8")
    found = {}
    for line in text.splitlines():
        wrong, right = line.lower().split("->")
        zipf = wordfreq.zipf_frequency(wrong, "en")
        if zipf <= 0 or not is_word(wrong, "LATIN") or len(wrong) < SHORT_MISSPELLING or wrong in kept:
            continue
        meant = {word.strip(): 0.0 for word in right.split(",") if word.strip()}
        meant = {word: wordfreq.zipf_frequency(word, "en") for word in meant if set(word.split()) <= listed.keys()}
        best = max(meant.values(), default=0.0)
        spoken = wrong.endswith(SPOKEN_ENDING) and wrong + "g" in meant
        if best - zipf >= MISSPELT_RARER and not spoken and wrong not in {word.replace("'", "") for word in meant}:
            likely = sorted(meant, key=lambda word: -meant[word])
            found[wrong] = [word for word in likely if meant[word] >= best - LESS_OFTEN_MEANT]
    return found


def nouns(code: str, words: Iterable[str]) -> list[str]:
    """Return the words that a dictionary has as nouns, in capitals, and that are written in small letters otherwise.

    What has the endings of an adjective is left out: it has small letters before a noun.

    Args:
        code: of the language.
        words: of its word list, as they are written.
    """
    stems = {line.split("/")[0].strip() for line in NOUN_DICTIONARIES[code].read_text("utf-8").splitlines()}
    both = {word for word in words if word.islower() and len(word) > SHORT_NAME and word.capitalize() in stems}
    endings = {word: {re.sub("(e|en|er|es)$", "", word) + "em", f"{word}em"} for word in both}
    forms = set().union(*endings.values())
    adjectives = forms - unknown(forms, DICTIONARIES[code])
    return sorted(word for word in both if not endings[word] & adjectives)


def informal(code: str, words: Mapping[str, float], people: Iterable[str]) -> dict[str, float]:
    """Return what no dictionary has and people write all the same, with zipf frequencies: only what is near to a word.

    Misspellings, and words without their accents or apostrophes, are left out: they are mended.

    Args:
        code: of the language.
        words: of its word list.
        people: names in small letters.
    """
    listed = {word.lower() for word in words}
    known, plain = listed | set(people), {folded(word) for word in listed}
    near = {part for word in listed for part in shorter(word)}
    least = INFORMAL_FROM_ELSEWHERE if code != "en" else INFORMAL_FROM
    forms = {
        word: wordfreq.zipf_frequency(word, code)
        for word in wordfreq.top_n_list(code, 400_000)
        if is_word(word, SCRIPTS.get(code, "LATIN")) and word not in known and folded(word) not in plain
    }
    forms = {word: zipf for word, zipf in forms.items() if zipf >= least and len(word) > 1 and shorter(word) & near}
    right = {word.lower(): zipf for word, zipf in words.items()}
    long = {word: zipf for word, zipf in forms.items() if len(word) > SHORT_INFORMAL}
    wrong = misspellings(long, right)
    return {word: zipf for word, zipf in forms.items() if word not in wrong}


def write(path: Path, words: Mapping[str, float]) -> None:
    """Write a line for each frequency: its zipf, and the words that have it."""
    lines = []
    by_frequency = sorted(words.items(), key=lambda item: (-round(item[1], 1), item[0]))
    for zipf, group in itertools.groupby(by_frequency, key=lambda item: round(item[1], 1)):
        lines.append(" ".join([f"{zipf:.1f}", *(word for word, _ in group)]))
    write_lines(path, lines)


def read(path: Path) -> dict[str, float]:
    """Return what `write` wrote."""
    lines = [line.split() for line in path.read_text("utf-8").splitlines()]
    return {word: float(zipf) for zipf, *words in lines for word in words}


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a text file, and the folder that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def unlisted_names(people: Mapping[str, str], english: Mapping[str, float]) -> list[str]:
    """Return names that the English word list lacks, without what looks like a slip of a common word.

    Args:
        people: names as written, by their small letters.
        english: the word list.
    """
    listed = {word.lower() for word in english}
    common = {word: zipf for word, zipf in english.items() if zipf >= OTHER_PART and word.islower()}
    unlisted = {word: wordfreq.zipf_frequency(word, "en") for word in people if word not in listed}
    unlisted = {
        word: max(2.0, zipf) for word, zipf in unlisted.items() if len(word) > SHORT_NAME or zipf >= OTHERS_FROM
    }
    return sorted(people[word] for word in unlisted.keys() - misspellings(unlisted, common))


def make_word_lists(out: Path, people: Mapping[str, str]) -> None:
    """Make what dictionaries are asked about: each language's words, its nouns, and names."""
    english: set[str] = set()
    for code in DICTIONARIES:
        words = word_list(code, people, english)
        if code == "en":
            english = {word.lower() for word in words if word.istitle()}
            write_lines(out / NAMES, unlisted_names(people, words))
        write(out / code / WORDS, words)
        if code in NOUN_DICTIONARIES:
            write_lines(out / code / "nouns.txt", nouns(code, words))
        print(code, len(words))  # noqa: T201


def make_derived_lists(lists: Path, out: Path, people: Iterable[str]) -> None:
    """Make what follows from the word lists as they are on disk: misspellings, and what people write all the same.

    Args:
        lists: folder of the word lists.
        out: folder to write into.
        people: names in small letters, listed or not.
    """
    words = {code: read(lists / code / WORDS) for code in INFORMAL}
    foreign = {word.lower() for code in INFORMAL if code != "en" for word in words[code]}
    misspelt = often_misspelt(words["en"], people, foreign)
    lines = [" ".join([wrong, *(word.replace(" ", "_") for word in right)]) for wrong, right in misspelt.items()]
    write_lines(out / "en" / "misspellings.txt", sorted(lines))
    known = (lists / NAMES).read_text("utf-8").lower().split()
    for code in INFORMAL:
        ways = informal(code, words[code], known)
        write(out / code / "informal.txt", {w: z for w, z in ways.items() if code != "en" or w not in misspelt})


def record() -> dict[str, object]:
    """Return what the lists were made with, and the SHA-256 of this script and of each of them."""
    asked = ["dpkg-query", "--show", "--showformat", "${Package} ${Version}\n", *PACKAGES]
    installed = subprocess.run(asked, capture_output=True, text=True, check=True).stdout  # noqa: S603
    made = [LANGUAGES / NAMES, *(path for code in DICTIONARIES for path in sorted((LANGUAGES / code).glob("*.txt")))]
    left_alone = {"emoji.txt", "offensive.txt", "sensitive.txt"}
    return {
        "packages": dict(line.split() for line in installed.splitlines()),
        "script": hashlib.sha256(Path(__file__).read_bytes()).hexdigest(),
        "lists": {
            path.relative_to(LANGUAGES).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in made
            if path.name not in left_alone
        },
    }


def main() -> None:
    """Make all of them anew."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--derived", type=Path, help="only make what follows from the word lists, in this folder")
    derived: Path | None = parser.parse_args().derived
    people = {name.lower(): name for name in sorted(names())}
    if derived:
        make_derived_lists(LANGUAGES, derived, people)
        return
    make_word_lists(LANGUAGES, people)
    make_derived_lists(LANGUAGES, LANGUAGES, people)
    (LANGUAGES / RECORD).write_text(json.dumps(record(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
