"""A typist who slips: what the strip and autocorrection do for someone who hits neighbouring keys.

Slips are drawn once for each user from a seed, so that two keyboards face the same ones. The typist looks at the strip
before every letter, taps as soon as it shows the word, does not look back, and undoes an autocorrection that spoils a
word typed right.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.evaluation.metrics import QUANTILES, aligned, plain, ratio_with_error
from model.suggestions import Suggester
from model.suggestions.keys import NEIGHBOURS
from model.text import tokenise

COUNTS = ("words", "slipped", "corrected", "spoiled", "wrong_at_the_end", "characters", "keystrokes")
"""What is counted of every user.

`slipped`: words in which a slip was drawn. `corrected`: of those, the ones that came out right. `spoiled`: words typed
right that autocorrection changed. `wrong_at_the_end`: words that came out wrong. Apostrophes that are put in count as
right. `characters`: of what was meant, with marks and spaces; `keystrokes`: what it took, undoing included.
"""

_OMITTED, _DOUBLED, _SWAPPED = 0.1, 0.1, 0.1  # shares of slips; the others hit a neighbouring key


@dataclass(frozen=True, eq=False)
class Typing:
    """Counts of a keyboard on a set of users.

    Attributes:
        name: of the keyboard.
        users: ids.
        counts: float64 [users] for each of `COUNTS`.
    """

    name: str
    users: tuple[str, ...]
    counts: Mapping[str, npt.NDArray[np.float64]]

    def rate(self, part: str, whole: str) -> tuple[float, float]:
        """Return the percentage of `whole` that is `part`, and its standard error over users, as `ratio_with_error`."""
        ratio, error = ratio_with_error(self.counts[part], self.counts[whole])
        return 100 * ratio, 100 * error

    def saving(self) -> tuple[float, float]:
        """Return the keystroke saving rate in percent, and its standard error."""
        used, error = self.rate("keystrokes", "characters")
        return 100 - used, error

    def saving_quantiles(self) -> list[float]:
        """Return the saving rate in percent at the QUANTILES of users."""
        characters = self.counts["characters"]
        own = 100 * (1 - self.counts["keystrokes"][characters > 0] / characters[characters > 0])
        return [float(value) for value in np.percentile(own, QUANTILES)] if len(own) else []

    def summary(self) -> dict[str, object]:
        """Return everything as plain numbers."""
        rates = {
            "keystrokes_saved_percent": self.saving(),
            "slipped_words_corrected_percent": self.rate("corrected", "slipped"),
            "words_spoiled_percent": self.rate("spoiled", "words"),
            "words_wrong_percent": self.rate("wrong_at_the_end", "words"),
        }
        return {
            "name": self.name,
            "users": len(self.users),
            **{name: {"value": plain(x), "standard_error": plain(error)} for name, (x, error) in rates.items()},
            "keystrokes_saved_percent_quantiles": dict(zip(map(str, QUANTILES), self.saving_quantiles(), strict=False)),
        }


def typing_table(typings: Sequence[Typing]) -> str:
    """Return a text table, a keyboard a line, in percent, with standard errors in brackets."""
    lines = [
        ["", "keystrokes saved", "5 / 50 / 95 % of users", "slips corrected", "right words spoiled", "words wrong"]
    ]
    for typing in typings:
        rates = (typing.rate("corrected", "slipped"), typing.rate("spoiled", "words"))
        quantiles = dict(zip(QUANTILES, typing.saving_quantiles(), strict=False))
        cells = [typing.saving(), *rates, typing.rate("wrong_at_the_end", "words")]
        shown = [f"{value:.2f} ({error:.2f})" for value, error in cells]
        shown.insert(1, " / ".join(f"{quantiles[percent]:.1f}" for percent in (5, 50, 95)) if quantiles else "-")
        lines.append([typing.name, *shown])
    return aligned(lines)


def slipped(word: str, rate: float, random: np.random.Generator) -> str:
    """Return `word` with every letter slipped on with probability `rate`; never the empty word."""
    typed: list[str] = []
    letters = list(word)
    i = 0
    while i < len(letters):
        letter = letters[i]
        if letter not in NEIGHBOURS or random.random() >= rate:
            typed.append(letter)
        else:
            kind = random.random()
            if kind < _OMITTED:
                pass
            elif kind < _OMITTED + _DOUBLED:
                typed += [letter, letter]
            elif kind < _OMITTED + _DOUBLED + _SWAPPED and i + 1 < len(letters):
                typed += [letters[i + 1], letter]
                i += 1
            else:
                typed.append(random.choice(list(NEIGHBOURS[letter])))
        i += 1
    return "".join(typed) or word


def type_messages(
    suggester: Suggester,
    users: Mapping[str, Sequence[str]],
    *,
    name: str,
    slip_rate: float,
    seed: int = 0,
    earlier: Mapping[str, Sequence[str]] | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Typing:
    """Type every user's messages and count.

    Args:
        suggester: the keyboard; its personal model is wiped for every user.
        users: messages of each.
        name: for tables.
        slip_rate: probability that a letter goes wrong.
        seed: of the slips.
        earlier: messages from which the keyboard has learned, and then it goes on learning; without, it never learns.
        progress: called with the number of messages just typed.
    """
    counts = {count: np.zeros(len(users)) for count in COUNTS}
    for index, (user, messages) in enumerate(users.items()):
        digest = hashlib.sha256(f"{seed} {user}".encode()).digest()
        random = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        suggester.personal.wipe()
        if earlier is not None:
            suggester.personal.learn_all(earlier.get(user, ()))
        suggester.personal_changed()
        for message in messages:
            for count, value in _type(suggester, message, slip_rate, random).items():
                counts[count][index] += value
            if earlier is not None:
                suggester.observe(message)
                suggester.personal.learn(message)
                suggester.personal_changed()
            progress(1)
    return Typing(name, tuple(users), counts)


def _type(suggester: Suggester, message: str, rate: float, random: np.random.Generator) -> dict[str, int]:
    counts = dict.fromkeys(COUNTS, 0)
    text = ""
    for token in tokenise(message):
        space = " " if token.space_after else ""
        counts["characters"] += len(token.surface + space)
        if not token.is_word or not token.surface[0].isalpha():
            counts["keystrokes"] += len(token.surface + space)
            text += token.surface + space
            continue
        word = token.surface
        typed = slipped(word, rate, random)
        counts["words"] += 1
        counts["slipped"] += typed != word
        shown, keystrokes = _one_word(suggester, text, word, typed)
        if shown is None:  # tapped: the space came with it, and a mark takes it back
            result = word
        else:
            keystrokes += len(space)
            result = shown
            if typed == word and not _alike(shown, word):
                counts["spoiled"] += 1
                keystrokes += 1
                result = word
        counts["keystrokes"] += keystrokes
        counts["corrected"] += typed != word and _alike(result, word)
        counts["wrong_at_the_end"] += not _alike(result, word)
        text += result + space
    return counts


def _one_word(suggester: Suggester, before: str, word: str, typed: str) -> tuple[str | None, int]:
    """Return what stands there after the word (None if the strip gave it), and the keystrokes without space."""
    for letters in range(len(typed)):
        strip = suggester.suggest(before, typed[:letters])
        if any(suggestion.text.lower() == word for suggestion in strip):
            return None, letters + 1
    correction = suggester.autocorrect(before, typed)
    return (correction.text.lower() if correction else typed), len(typed)


def _alike(shown: str, word: str) -> bool:
    """Return whether two words differ by no more than apostrophes: who leaves them out means them all the same."""
    return shown.replace("'", "") == word.replace("'", "")
