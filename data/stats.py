"""What a corpus is like: how much, how evenly, and how unlike one user's words are to another's."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.corpus import Corpus, Split, Users

_DIVERGENCE_WORDS = 2000
_QUANTILES = (5, 25, 50, 75, 95)


@dataclass(frozen=True)
class CorpusStats:
    """Figures of a corpus.

    Attributes:
        name: of the corpus.
        users, messages, words: totals.
        message_quantiles: messages a user at 5, 25, 50, 75, 95 %.
        word_quantiles: words a user, likewise.
        top_ten_share: share of all words that the ten most productive users wrote, before and after the cap.
        roles: users and words by role.
        coverage: share of the clients' and the held-out users' words that the seed's words cover.
        divergence: mean Jensen-Shannon divergence, in bits, of a user's words from everybody's.
        divergence_if_iid: the same if messages were dealt to the same users at random.
    """

    name: str
    users: int
    messages: int
    words: int
    message_quantiles: tuple[float, ...]
    word_quantiles: tuple[float, ...]
    top_ten_share: tuple[float, float]
    roles: dict[str, tuple[int, int]]
    coverage: dict[str, float]
    divergence: float
    divergence_if_iid: float

    def rows(self) -> list[tuple[str, str]]:
        """Return label and value pairs for printing."""
        quantiles = " / ".join(f"{q} %" for q in _QUANTILES)
        rows = [
            ("users", f"{self.users:,}"),
            ("messages", f"{self.messages:,}"),
            ("words", f"{self.words:,}"),
            (f"messages a user ({quantiles})", " / ".join(f"{q:,.0f}" for q in self.message_quantiles)),
            (f"words a user ({quantiles})", " / ".join(f"{q:,.0f}" for q in self.word_quantiles)),
            ("words of the ten busiest users", "{:.1%}, capped {:.1%}".format(*self.top_ten_share)),
        ]
        rows += [
            (f"{role.replace('_', '-')} users, words", f"{n:,}, {words:,}") for role, (n, words) in self.roles.items()
        ]
        rows += [(f"{role.replace('_', '-')} words known to the seed", f"{c:.1%}") for role, c in self.coverage.items()]
        rows.append(
            (
                "non-IID: divergence of a user from all",
                f"{self.divergence:.3f} bits ({self.divergence_if_iid:.3f} if dealt at random)",
            )
        )
        return rows


def describe(corpus: Corpus, split: Split, words: Callable[[str], Sequence[str]], *, seed: int = 0) -> CorpusStats:
    """Measure a corpus.

    Args:
        corpus: all of it.
        split: its users by role.
        words: from a text to its normalised words.
        seed: of the random deal that the divergence is compared with.
    """
    messages = {user: [words(text) for text in texts] for user, texts in corpus.users.items()}
    counts = {user: Counter(word for message in own for word in message) for user, own in messages.items()}
    per_user = np.array([sum(count.values()) for count in counts.values()])
    roles: dict[str, Users] = {"seed": split.seed, "train": split.train, "held_out": split.held_out}
    role_counts = {role: _count(users, words) for role, users in roles.items()}
    capped = np.sort([n for users in role_counts.values() for n in (sum(c.values()) for c in users.values())])
    known = set().union(*role_counts["seed"].values())
    all_words = _pooled(counts.values())
    return CorpusStats(
        name=corpus.name,
        users=len(corpus.users),
        messages=corpus.messages,
        words=int(per_user.sum()),
        message_quantiles=_quantiles([len(texts) for texts in corpus.users.values()]),
        word_quantiles=_quantiles(per_user),
        top_ten_share=(_share(np.sort(per_user)), _share(capped)),
        roles={role: (len(users), sum(sum(c.values()) for c in users.values())) for role, users in role_counts.items()},
        coverage={
            role: _coverage(_pooled(users.values()), known) for role, users in role_counts.items() if role != "seed"
        },
        divergence=_divergence(counts.values(), all_words),
        divergence_if_iid=_divergence(_dealt(messages, np.random.default_rng(seed)), all_words),
    )


def _count(users: Users, words: Callable[[str], Sequence[str]]) -> dict[str, Counter[str]]:
    return {user: Counter(word for text in texts for word in words(text)) for user, texts in users.items()}


def _pooled(counts: Iterable[Counter[str]]) -> Counter[str]:
    pooled: Counter[str] = Counter()
    for count in counts:
        pooled.update(count)
    return pooled


def _quantiles(values: Sequence[int] | npt.NDArray[np.int64]) -> tuple[float, ...]:
    return tuple(float(q) for q in np.percentile(values, _QUANTILES))


def _share(ascending: npt.NDArray[np.int64]) -> float:
    return float(ascending[-10:].sum() / max(ascending.sum(), 1))


def _coverage(counts: Counter[str], known: set[str]) -> float:
    return sum(n for word, n in counts.items() if word in known) / max(counts.total(), 1)


def _dealt(messages: dict[str, list[Sequence[str]]], random: np.random.Generator) -> list[Counter[str]]:
    pool = [message for own in messages.values() for message in own]
    order = iter(random.permutation(len(pool)))
    return [Counter(word for _ in own for word in pool[next(order)]) for own in messages.values()]


def _divergence(users: Iterable[Counter[str]], everybody: Counter[str]) -> float:
    """Mean over users, weighted by words, of the Jensen-Shannon divergence on the commonest words."""
    index = {word: i for i, (word, _) in enumerate(everybody.most_common(_DIVERGENCE_WORDS))}
    pool = np.array([everybody[word] for word in index], float)
    pool /= pool.sum()
    total = weight = 0.0
    for count in users:
        own = np.zeros(len(index))
        for word, n in count.items():
            if word in index:
                own[index[word]] = n
        n = own.sum()
        if n:
            own /= n
            middle = (own + pool) / 2
            total += n * 0.5 * (_relative_entropy(own, middle) + _relative_entropy(pool, middle))
            weight += n
    return total / max(weight, 1.0)


def _relative_entropy(p: npt.NDArray[np.float64], q: npt.NDArray[np.float64]) -> float:
    present = p > 0
    return float(np.sum(p[present] * np.log2(p[present] / q[present])))
