"""What a keyboard leaves alone and what it mends: addresses, names, contractions, slips; beside a spelling dictionary.

`uv run --with names==0.3.0 python -m benchmarks.typing`: every input is typed key by key through the editor, with the
public start that comes with fedkey. Names are of the census of the United States, in the package `names`, without
which there are no figures of names; the peer is hunspell with its English dictionary, if it is installed, as the
engine of a keyboard that takes its first suggestion for every word that it does not know. `--sms FILE` types NUS SMS,
too. Typists who slip have typed before on the same keyboard, which learned from that and goes on learning: as in
`benchmarks.personal`, 70 % of their messages are learned from and the first 30 of the others are typed. Glides are
synthetic traces with noise over words of these (`model.evaluation.tracing`); their reference is the same paths without
what words are likely. `--share 0.1` takes that share of everything, to see that it runs. `--ranking` measures something
else: the strip ranked by the keystrokes that a tap is expected to save, against plain probability, the same typists.
"""

import argparse
import importlib.util
import itertools
import random
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

import data
from benchmarks.arguments import real
from benchmarks.results import CORPUS, Figure, write
from keyboard_app.editor.editor import DOUBLE_SPACE_SECONDS, EditorState
from keyboard_app.typing.suggesting import answer
from model import public_start
from model.engine.numpy_engine import NumPyPredictor
from model.evaluation import STRIP
from model.evaluation.metrics import ratio_with_error
from model.evaluation.tracing import trace
from model.evaluation.typist import Typing, type_messages
from model.languages import language
from model.next_words import MixtureNextWords
from model.suggestions import Autocorrection, Suggester, Suggestion
from model.suggestions.gliding import Gliding
from model.text import CLASSES, tokenise

NAMES, ADDRESSES = 500, 300
SLIP_RATE = 0.03
TYPISTS, TYPED_MESSAGES = 40, 30
LEARNED, MIN_WORDS = 0.7, 10  # of a typist's messages, before those that are typed; and words in these
KNOWN_WORDS = 10_000
GLIDES = 1000
RANKING_WEIGHTS = (0.2, 1.0)
CONSIDERED = 9  # words beyond the strip that may come onto it

Messages = dict[str, list[str]]
"""By user."""

CONTRACTIONS = """
aren't can't couldn't didn't doesn't don't hadn't hasn't haven't isn't mustn't shouldn't wasn't weren't won't wouldn't
ain't I'm I've you're you've you'll they're they've they'll we've that's there's here's what's where's who's how's he's
she's it'll that'll y'all o'clock ma'am could've should've would've you'd they'd
"""
"""Those whose letters alone are no word."""

_FOLDERS = ("home", "etc", "usr", "docs", "photos", "wrok", "projcts", "src")
_WORDS = ("teh", "frist", "abotu", "recieve", "hapy", "node", "jhon", "user", "becuase", "wiht", "mian", "tset", "lidl")
_DOMAINS = ("com", "org", "net", "de", "io", "co.uk", "fr", "es", "app")


def addresses(count: int, seed: int = 0) -> list[str]:
    """Return URLs, e-mail addresses, handles, paths, names of files and identifiers full of what looks like slips."""
    chance = random.Random(seed)

    def word() -> str:
        return chance.choice(_WORDS)

    kinds: list[Callable[[], str]] = [
        lambda: f"https://{word()}.{chance.choice(_DOMAINS)}/{word()}",
        lambda: f"www.{word()}.{chance.choice(_DOMAINS)}",
        lambda: f"{word()}.{chance.choice(_DOMAINS)}/{word()}?{word()}={word()}",
        lambda: f"{word()}@{word()}.{chance.choice(_DOMAINS)}",
        lambda: f"{word()}.{word()}+{word()}@{word()}.{chance.choice(_DOMAINS)}",
        lambda: f"@{word()}",
        lambda: f"#{word()}",
        lambda: f"/{chance.choice(_FOLDERS)}/{word()}/{word()}.txt",
        lambda: f"~/{word()}",
        lambda: f"C:\\{word()}\\{word()}",
        lambda: f"{word()}.{chance.choice(['py', 'js', 'pdf', 'txt', 'jpg'])}",
        lambda: f"{word()}_{word()}",
        lambda: f"--{word()}={word()}",
        lambda: f"{word()}.{word()}()",
    ]
    return [kind() for kind in itertools.islice(itertools.cycle(kinds), count)]


def census_names(count: int, seed: int = 0) -> list[str]:
    """Return first names and surnames, those of few people as likely as those of many."""
    import names  # noqa: PLC0415 - installed for this alone, or not

    found: list[str] = []
    folder = Path(names.__file__).parent
    for file in ("dist.male.first", "dist.female.first", "dist.all.last"):
        lines = (folder / file).read_text().splitlines()
        found += [line.split()[0].capitalize() for line in lines[:10_000]]
    return random.Random(seed).sample(sorted({name for name in found if len(name) > 2}), count)


def typed(suggester: Suggester, text: str) -> str:
    """Return what stands in a field after some keys, slow enough for the model to answer."""
    state = EditorState(language=suggester.language.code)
    for number, character in enumerate(text):
        if not character.isalnum() and state.request is not None:
            state = state.take(answer(suggester, state.request))
        state = state.type(character, number * 2 * DOUBLE_SPACE_SECONDS).state
    return state.text


def share(suggester: Suggester, inputs: Iterable[tuple[str, str]]) -> float:
    """Return the percentage of inputs that come out as they should."""
    right = [typed(suggester, keys) == wanted for keys, wanted in inputs]
    return 100 * sum(right) / len(right)


def peer() -> Callable[[Sequence[str]], list[str]] | None:
    """Return what gives hunspell's first suggestions for words; None where it is not installed."""
    if shutil.which("hunspell") is None:
        return None

    def first(words: Sequence[str]) -> list[str]:
        text = "\n".join(f"^{word}" for word in words)
        command = ["hunspell", "-a", "-d", "en_US", "-i", "utf-8"]
        lines = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout.splitlines()[1:]
        answers = [list(group) for full, group in itertools.groupby(lines, bool) if full]
        return [_first(word, answer_) for word, answer_ in zip(words, answers, strict=True)]

    return first


def _first(word: str, answer_: list[str]) -> str:
    return answer_[0].split(": ", 1)[1].split(", ")[0] if answer_[0].startswith("&") else word


def _known(messages: Iterable[str], count: int) -> list[str]:
    """Return messages that have about `count` words, all of them known."""
    english, found, words = language("en"), [], 0
    for message in messages:
        tokens = tokenise(message)
        own = [token.symbol for token in tokens if token.is_word and token.symbol not in CLASSES]
        if words < count and own and all(english.knows(word) and word not in english.contractions for word in own):
            found.append(message)
            words += len(own)
    return found


def _words_changed(suggester: Suggester, messages: Sequence[str]) -> float:
    """Return how many words of messages without a slip are changed, of 10,000."""
    typing = type_messages(suggester, {"all": messages}, name="known", slip_rate=0.0)
    return 100 * typing.rate("spoiled", "words")[0]


def _glided(suggester: Suggester, users: Messages, glides: int) -> list[Figure]:
    """Return how often the word that was glided is the first one, and one of three; beside paths alone."""
    chance = np.random.default_rng(0)
    words = [pair for texts in users.values() for text in texts for pair in _words_in_context(suggester, text)]
    alone = Gliding({*suggester.language.words, *(word for _, word in words)}, suggester.keys)
    ranks: list[int] = []
    without: list[int] = []
    for at in chance.choice(len(words), min(glides, len(words)), replace=False):
        before, word = words[at]
        path = trace(word, suggester.keys, chance)
        shown = [suggestion.text.lower() for suggestion in suggester.glide(before, path)]
        ranks.append(shown.index(word) if word in shown else len(shown))
        found, costs = alone.costs(path)
        without.append(int((costs < costs[found.index(word)]).sum()) if word in found else len(found))
    figures = []
    for name, most in (("top1", 1), ("top3", 3)):
        value, reference = (100 * sum(rank < most for rank in found_) / len(found_) for found_ in (ranks, without))
        figures.append(Figure(f"glide_{name}_percent", value, "%", "the path alone", reference))
    return figures


def _words_in_context(suggester: Suggester, text: str) -> list[tuple[str, str]]:
    """Return the words of a message that can be glided, each with the text before it."""
    found, before = [], ""
    for token in tokenise(text):
        if len(token.surface) > 1 and all(letter in suggester.keys.places for letter in token.surface):
            found.append((before, token.surface))
        before += token.surface + " " * token.space_after
    return found


def _slips(suggester: Suggester, users: Messages, earlier: Messages, strength: Autocorrection) -> Typing:
    suggester.autocorrection = strength
    found = type_messages(suggester, users, name=strength.value, slip_rate=SLIP_RATE, earlier=earlier)
    suggester.autocorrection = Autocorrection.EAGER
    return found


def _in_time(held_out: Messages, typists: int) -> tuple[Messages, Messages]:
    """Return what some users type, and what the keyboard has learned from before."""
    later: Messages = {}
    earlier: Messages = {}
    for user, texts in held_out.items():
        split = int(len(texts) * LEARNED)
        if (
            len(later) < typists
            and sum(token.is_word for text in texts[split:] for token in tokenise(text)) >= MIN_WORDS
        ):
            later[user], earlier[user] = texts[split:][:TYPED_MESSAGES], texts[:split]
    return later, earlier


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", default=CORPUS, help="What typists of all figures write; by default ChitChat.")
    parser.add_argument("--sms", type=Path, help="The NUS SMS corpus.")
    parser.add_argument("--share", type=real, default=1.0, help="Of everything; less than 1 for a quick look.")
    parser.add_argument("--ranking", action="store_true", help="Measure only rankings of the strip.")
    arguments = parser.parse_args()
    share_: float = arguments.share

    def some(count: int) -> int:
        return max(1, round(count * share_))

    if arguments.ranking:
        held_out = {user: list(texts) for user, texts in data.split(data.load(arguments.corpus)).held_out.items()}
        write("typing-ranking", _ranked(*_in_time(held_out, some(TYPISTS))))
        return
    suggester = Suggester(_public())
    figures = [*_left_alone(suggester, some(ADDRESSES), some(NAMES)), *_mended(suggester)]
    corpora = {Path(arguments.corpus).stem: arguments.corpus}
    corpora |= {"nus_sms": str(arguments.sms)} if arguments.sms else {}
    for number, (name, corpus) in enumerate(corpora.items()):
        held_out = {user: list(texts) for user, texts in data.split(data.load(corpus)).held_out.items()}
        users, earlier = _in_time(held_out, some(TYPISTS))
        figures += _typists(suggester, name, users, earlier, some(KNOWN_WORDS))
        if number == 0:
            figures += _glided(suggester, users, some(GLIDES))
    write("typing", figures)


class BySaving(Suggester):
    """A strip ranked by probability times the keystrokes that a tap saves, these to the power of `weight`."""

    weight = 1.0

    def suggest(self, before: str, typed: str = "", count: int = STRIP) -> list[Suggestion]:
        """Return up to `count` words, the most worth first."""

        def worth(suggestion: Suggestion) -> float:
            saved = max(0, len(suggestion.text) - len(typed))  # the letters to come; the tap is for the space
            return float(suggestion.probability * saved**self.weight)

        return sorted(super().suggest(before, typed, count + CONSIDERED), key=worth, reverse=True)[:count]


def _ranked(users: Messages, earlier: Messages) -> list[Figure]:
    """Return the keystrokes saved with each ranking; gains are paired over users."""
    plain = _slips(Suggester(_public()), users, earlier, Autocorrection.EAGER)
    saved, error = plain.saving()
    figures = [
        Figure("saved_by_probability_percent", saved, "%"),
        Figure("saved_by_probability_standard_error", error, "points"),
        Figure("typists", len(users), "typists"),
    ]
    suggester = BySaving(_public())
    for weight in RANKING_WEIGHTS:
        suggester.weight = weight
        found = _slips(suggester, users, earlier, Autocorrection.EAGER)
        gained, gain_error = ratio_with_error(
            plain.counts["keystrokes"] - found.counts["keystrokes"], plain.counts["characters"]
        )
        figures += [
            Figure(f"saved_by_saving_{weight}_percent", found.saving()[0], "%", "by probability", saved),
            Figure(f"gained_by_saving_{weight}_points", 100 * gained, "points"),
            Figure(f"gained_by_saving_{weight}_standard_error", 100 * gain_error, "points"),
        ]
    return figures


def _public() -> MixtureNextWords:
    """Return what the public start predicts, as NumPy computes it."""
    checkpoint = public_start.load("small")
    weights = (public_start.shipped() / "small.weights").read_bytes()
    predictor = NumPyPredictor(weights, checkpoint.network, "int8")
    return MixtureNextWords(predictor, checkpoint.vocabulary, checkpoint.mixture)


def _left_alone(suggester: Suggester, address_count: int, name_count: int) -> list[Figure]:
    inputs = [f"see {address} now" for address in addresses(address_count)]
    figures = [Figure("address_untouched_percent", share(suggester, zip(inputs, inputs, strict=True)), "%")]
    if importlib.util.find_spec("names") is None:
        return figures
    first = peer()
    people = census_names(name_count)
    kept = None
    if first is not None:
        kept = 100 * sum(one == other for one, other in zip(people, first(people), strict=True)) / len(people)
    within = [f"ask {name} about it " for name in people]
    beginning = [f"{name} said so " for name in people]
    peers = ("hunspell", kept) if kept is not None else ("", None)
    for name, texts in (("names_kept_percent", within), ("names_kept_at_beginning_percent", beginning)):
        figures.append(Figure(name, share(suggester, zip(texts, texts, strict=True)), "%", *peers))
    return figures


def _mended(suggester: Suggester) -> list[Figure]:
    first = peer()
    wanted = CONTRACTIONS.split()
    bare = [word.replace("'", "") for word in wanted]
    inputs = [(f"and {one} ", f"and {other} ") for one, other in zip(bare, wanted, strict=True)]
    fixed = None
    if first is not None:
        fixed = 100 * sum(one == other for one, other in zip(first(bare), wanted, strict=True)) / len(bare)
    found = share(suggester, inputs)
    return [Figure("contractions_fixed_percent", found, "%", "hunspell" if first else "", fixed)]


def _typists(suggester: Suggester, corpus: str, users: Messages, earlier: Messages, words: int) -> list[Figure]:
    known = _known(itertools.chain.from_iterable(users.values()), words)
    eager, off = (
        _slips(suggester, users, earlier, strength) for strength in (Autocorrection.EAGER, Autocorrection.OFF)
    )
    return [
        Figure(f"{corpus}_known_words_changed_per_10000", _words_changed(suggester, known), "words"),
        Figure(f"{corpus}_slips_corrected_percent", eager.rate("corrected", "slipped")[0], "%"),
        Figure(f"{corpus}_right_words_spoiled_percent", eager.rate("spoiled", "words")[0], "%"),
        Figure(
            f"{corpus}_keystrokes_saved_percent", eager.saving()[0], "%", "with autocorrection off", off.saving()[0]
        ),
        Figure(
            f"{corpus}_words_wrong_percent",
            eager.rate("wrong_at_the_end", "words")[0],
            "%",
            "with autocorrection off",
            off.rate("wrong_at_the_end", "words")[0],
        ),
    ]


if __name__ == "__main__":
    main()
