"""What the keyboard learns of its user: words, how they are written, and what follows what.

A cache model (Kuhn and De Mori 1990) of the user's own n-grams. It holds what was typed, so it is stored encrypted.
"""

import json
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.adaptation import Adaptation
from model.ngram import RESERVED, KneserNey
from model.suggestions.casing import forms_within_sentences
from model.text import CLASSES, Token, normalise, tokenise
from model.wording import fault

Floats = npt.NDArray[np.float32]

LEARNING_THRESHOLD = 2
"""Messages that must have a new word before it is learned: a typo typed once is none."""

MAX_TOKENS = 20_000
"""Of messages kept; the oldest are dropped."""

_ORDER = 3

_WEIGHTS = ((0.36, 5900.0), (0.7, 5200.0), (0.036, 0.3))
"""Of the user's own n-grams: for contexts of no token, one and two, the most they add and after how many times half.

Fitted to clients' later messages, ChitChat and NUS SMS together, so that likelihood rises for as many users as can be.
"""

_MAX_WEIGHT = 0.95
_HABIT, _HABIT_CONTEXT = 2, 2  # times, and tokens before, from which on a word is sure to stand on the strip
_UNKNOWN = RESERVED
_FORMAT = 1
_LONGEST_WORD = 40


@dataclass(frozen=True)
class LearnedWord:
    """A word that the public lexicon lacks.

    Attributes:
        word: lower case.
        shown: as the user writes it.
        messages: how many had it.
    """

    word: str
    shown: str
    messages: int


class PersonalModel:
    """A user's own words and n-grams.

    Args:
        lexicon: the words that need no learning; a set, or the keys of a dictionary, is not copied.

    Attributes:
        adaptation: how much the user's text says for each part of the mixture.
    """

    def __init__(self, lexicon: Iterable[str]) -> None:
        self.lexicon = lexicon if isinstance(lexicon, AbstractSet) else frozenset(lexicon)
        self._messages: deque[tuple[str, ...]] = deque()
        self._tokens = 0
        self._new_words: Counter[str] = Counter()  # messages with each word that the lexicon lacks
        self._written: dict[str, Counter[str]] = {}  # within sentences, where capitals tell something
        self._never: set[str] = set()
        self._kept: set[str] = set()  # wanted as typed
        self._shortcuts: dict[str, str] = {}
        self.adaptation = Adaptation()
        self._ids: dict[str, int] = {}
        self._symbols: list[str] = []
        self._ngram: KneserNey | None = None
        self._followed: dict[tuple[str, ...], Counter[str]] = {}  # what came after two tokens
        self._opened: dict[tuple[str, ...], Counter[str]] = {}  # what came after the first token, or none
        self._seen: Counter[tuple[str, ...]] = Counter()  # what stood before a token: nothing, one token, two

    @property
    def tokens(self) -> int:
        """How many tokens of the user's messages are kept."""
        return self._tokens

    @property
    def never(self) -> frozenset[str]:
        """Words that the user does not want to see suggested."""
        return frozenset(self._never)

    @property
    def kept(self) -> frozenset[str]:
        """Words that the user wanted as typed, when the keyboard would have changed them."""
        return frozenset(self._kept)

    @property
    def shortcuts(self) -> Mapping[str, str]:
        """What short forms, in lower case, stand for."""
        return dict(self._shortcuts)

    @property
    def symbols(self) -> Sequence[str]:
        """What `distribution` is about, in its order."""
        return self._symbols

    def learn(self, message: str) -> list[str]:
        """Learn from a message; return the words that were learned with it. Takes milliseconds: do it after typing.

        A word is learned once `LEARNING_THRESHOLD` messages had it.
        """
        return self.learn_all([message])

    def learn_all(self, messages: Iterable[str]) -> list[str]:
        """Learn from messages, oldest first; return the words that were learned with them."""
        learned = []
        for message in messages:
            tokens = tokenise(message)
            if not tokens:
                continue
            self._messages.append(tuple(token.symbol for token in tokens))
            self._tokens += len(tokens)
            new = {token.symbol for token in tokens if self._is_new(token)}
            self._new_words.update(new)
            learned += sorted(word for word in new if self._new_words[word] == LEARNING_THRESHOLD)
            for word, form in forms_within_sentences(message, tokens, self.lexicon):
                self._written.setdefault(word, Counter())[form] += 1
        while self._tokens > MAX_TOKENS:
            self._tokens -= len(self._messages.popleft())
        self._count()
        return learned

    def add_word(self, word: str) -> None:
        """Learn a word at once, because the user says so."""
        tokens = [token for token in tokenise(word) if token.is_word]
        if len(tokens) == 1 and self._is_new(tokens[0]):
            self._new_words[tokens[0].symbol] = max(LEARNING_THRESHOLD, self._new_words[tokens[0].symbol])
            self._written.setdefault(tokens[0].symbol, Counter())[word] += LEARNING_THRESHOLD

    def add_shortcut(self, short: str, text: str) -> None:
        """Write `text` where `short` is typed as a word; nothing if `short` is no single word."""
        tokens = tokenise(short)
        if len(tokens) == 1 and tokens[0].is_word and text.strip():
            self._shortcuts[tokens[0].surface] = text.strip()

    def remove_shortcut(self, short: str) -> None:
        """Take `add_shortcut` back."""
        self._shortcuts.pop(normalise(short), None)

    def keep(self, word: str) -> None:
        """Leave a word as the user wrote it from now on, and know it at once."""
        tokens = tokenise(word)
        if len(tokens) != 1 or not tokens[0].is_word or tokens[0].symbol in CLASSES:
            return
        self._kept.add(tokens[0].symbol)
        self._written.setdefault(tokens[0].symbol, Counter())[word] += LEARNING_THRESHOLD
        if self._is_new(tokens[0]):
            self._new_words[tokens[0].symbol] = max(LEARNING_THRESHOLD, self._new_words[tokens[0].symbol])

    def knows(self, word: str) -> bool:
        """Return whether a lower-case word that the lexicon lacks was learned."""
        return self._new_words[word] >= LEARNING_THRESHOLD

    def learned(self) -> list[LearnedWord]:
        """Return the learned words, commonest first."""
        known = [(count, word) for word, count in self._new_words.items() if count >= LEARNING_THRESHOLD]
        return [
            LearnedWord(word, self.written(word) or word, count)
            for count, word in sorted(known, key=lambda pair: (-pair[0], pair[1]))
        ]

    def forget(self, word: str) -> None:
        """Unlearn a word and all that was learned around it."""
        word = normalise(word)
        self._new_words.pop(word, None)
        self._written.pop(word, None)
        self._kept.discard(word)
        kept = [message for message in self._messages if word not in message]
        self._messages = deque(kept)
        self._tokens = sum(map(len, kept))
        self._count()

    def never_suggest(self, word: str) -> None:
        """Keep a word off the strip, wherever it would come from."""
        self._never.add(normalise(word))

    def allow(self, word: str) -> None:
        """Take `never_suggest` back."""
        self._never.discard(normalise(word))

    def wipe(self) -> None:
        """Forget everything."""
        self._messages.clear()
        self._tokens = 0
        self._new_words.clear()
        self._written.clear()
        self._never.clear()
        self.adaptation = Adaptation()
        self._kept.clear()
        self._shortcuts.clear()
        self._count()

    def written(self, word: str) -> str | None:
        """Return how the user mostly writes a lower-case word within sentences; None if in lower case, or unknown."""
        form = self.habit(word)
        return form if form != word else None

    def habit(self, word: str) -> str | None:
        """Return how the user mostly writes a lower-case word within sentences, capitals or not; None if unknown."""
        forms = self._written.get(word)
        if not forms:
            return None
        form, count = max(forms.items(), key=lambda item: (item[1], item[0]))
        return form if count >= LEARNING_THRESHOLD and 2 * count > forms.total() else None

    def distribution(self, context: Sequence[Token]) -> tuple[Floats, float]:
        """Return the probability of each of `symbols` after a message's tokens so far, and how much they should weigh.

        The weight, 0 to 1, is that of the user's own habits in a mixture with what is common to all.
        """
        if self._ngram is None:
            return np.zeros(0, np.float32), 0.0
        symbols = [token.symbol for token in context]
        return self._ngram.distribution(self._encode(symbols))[_UNKNOWN + 1 :], self._weight(symbols)

    def distributions(self, message: Sequence[Token]) -> tuple[Floats, Floats]:
        """Return what `distribution` does, [tokens + 1, symbols] and [tokens + 1], at each token and at the end."""
        if self._ngram is None:
            return np.zeros((len(message) + 1, 0), np.float32), np.zeros(len(message) + 1, np.float32)
        symbols = [token.symbol for token in message]
        weights = [self._weight(symbols[:end]) for end in range(len(symbols) + 1)]
        return self._ngram.distributions([self._encode(symbols)])[:, _UNKNOWN + 1 :], np.array(weights, np.float32)

    def _encode(self, symbols: Sequence[str]) -> list[int]:
        return [self._ids.get(symbol, _UNKNOWN) for symbol in symbols]

    def _weight(self, context: Sequence[str]) -> float:
        """Return a weight that grows with how often the user was at this place before."""
        weight = 0.0
        for length, (most, half) in enumerate(_WEIGHTS[: len(context) + 1]):
            times = self._seen[tuple(context[len(context) - length :])]
            weight += most * times / (times + half)
        return min(_MAX_WEIGHT, weight * self.adaptation.own_factor)

    def habits(self, context: Sequence[Token]) -> list[str]:
        """Return the words with which the user mostly went on from here before, at least twice; the commonest first.

        Two tokens of context decide, or the whole of a message that has fewer.
        """
        place = tuple(token.symbol for token in context[-_HABIT_CONTEXT:])
        followed = self._followed.get(place, Counter())
        if len(context) < _HABIT_CONTEXT:
            followed = self._opened.get(place, Counter())
        total = followed.total()
        return [word for word, count in followed.most_common(2) if count >= _HABIT and 2 * count > total]

    def observe(self, message: Sequence[Token], shared: Floats) -> None:
        """Note how well the user's n-grams expected a message that is to be learned.

        Args:
            message: its tokens.
            shared: [tokens or more]: probability of each under the model that all share.
        """
        if self._ngram is None or not message:
            return
        distributions, weights = self.distributions(message)
        places = {symbol: i for i, symbol in enumerate(self._symbols)}
        at = [places.get(token.symbol, -1) for token in message]
        own = np.array([distributions[i, place] if place >= 0 else 0.0 for i, place in enumerate(at)])
        self.adaptation.observe_own(shared[: len(message)], own, weights[: len(message)])

    def to_bytes(self) -> bytes:
        """Return everything, to be stored encrypted."""
        state = {
            "format": _FORMAT,
            "messages": list(self._messages),
            "new_words": self._new_words,
            "written": self._written,
            "never": sorted(self._never),
            "adaptation": self.adaptation.to_json(),
            "kept": sorted(self._kept),
            "shortcuts": self._shortcuts,
        }
        return json.dumps(state, ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, data: bytes, lexicon: Iterable[str]) -> "PersonalModel":
        """Read what `to_bytes` gave.

        Raises:
            ValueError: it is something else.
        """
        model = cls(lexicon)
        try:
            state: dict[str, Any] = json.loads(data)
            if state["format"] != _FORMAT:
                state = {}
            model._messages = deque(tuple(message) for message in state["messages"])
            model._tokens = sum(map(len, model._messages))
            model._new_words = Counter(state["new_words"])
            model._written = {word: Counter(forms) for word, forms in state["written"].items()}
            model._never = set(state["never"])
            if "adaptation" in state:
                model.adaptation = Adaptation.from_json(state["adaptation"])
            model._kept = set(state.get("kept", ()))
            model._shortcuts = {str(short): str(text) for short, text in state.get("shortcuts", {}).items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a personal model of this version: {fault(error)}") from error
        model._count()
        return model

    def _is_new(self, token: Token) -> bool:
        return (
            token.is_word
            and token.symbol not in CLASSES
            and token.symbol not in self.lexicon
            and len(token.symbol) <= _LONGEST_WORD
        )

    def _count(self) -> None:
        """Count anew what predictions need."""
        if not self._messages:
            self._ids, self._symbols, self._ngram, self._seen = {}, [], None, Counter()
            self._followed, self._opened = {}, {}
            return
        self._followed, self._opened = {}, {}
        for message in self._messages:
            for at, symbol in enumerate(message):
                if symbol[0].isalnum() and symbol not in CLASSES:
                    places = self._opened if at < _HABIT_CONTEXT else self._followed
                    places.setdefault(message[max(0, at - _HABIT_CONTEXT) : at], Counter())[symbol] += 1
        self._seen = Counter(
            message[at - length : at]
            for message in self._messages
            for at in range(len(message) + 1)
            for length in range(min(at + 1, len(_WEIGHTS)))
        )
        self._symbols = sorted({symbol for message in self._messages for symbol in message})
        self._ids = {symbol: i for i, symbol in enumerate(self._symbols, _UNKNOWN + 1)}
        self._ngram = KneserNey(size=_UNKNOWN + 1 + len(self._symbols), order=_ORDER)
        self._ngram.add([self._ids[symbol] for symbol in message] for message in self._messages)
        self._ngram.distribution([])  # counts now, not at the next key press
