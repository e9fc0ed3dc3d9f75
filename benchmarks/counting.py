"""What counting rounds bring: by length of the list, rounds, noise; what a phone sends; what a sum betrays; new words.

    uv run python -m benchmarks.counting --every 8

judges every eighth held-out user; rows that are done are kept, and the same command goes on. Every row is the public
start with the counted n-gram beside it, mixture weights fitted to clients' validation text. Without noise a row's
counts are the exact sum; with noise they go through the encoding and the noise of a round
(`federation.simulation.counting`); masks cancel. Populations above the corpus's clients are *labelled*: the corpus's
clients, each copied, with noise for all of them, so they show what noise costs at that size and nothing of what more
people would teach. Votes for new words likewise: which words are accepted, and what share of the words that held-out
users typed and no phone could suggest they are.
"""

import argparse
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.arguments import whole
from benchmarks.mixture import SETTINGS, Ground
from benchmarks.results import Figure, kept, write
from federation.privacy.conversion import epsilon_of_rho, rho_of_epsilon
from federation.protocol.plan import Mechanism, Privacy
from federation.rounds.counting import CountingSettings, threshold
from federation.rounds.counting_plans import CountingPlan
from federation.rounds.voting import CLIP, Votes, VotingSettings
from federation.secure_aggregation import MAX_COHORT
from federation.simulation.counting import count
from federation.simulation.evaluation import Evaluator
from federation.updates.update import clip
from fedkey.progress import words_bar
from model.checkpoint import Checkpoint
from model.counted_lists import WordList
from model.counts import CountedNgram, NgramList
from model.evaluation import SHOWN, Evaluation, compare, table
from model.ngram_table import NgramTable, find
from model.text import CLASSES, tokenise
from model.vocabulary import Vocabulary

PARTS = ("recall", "sums", "words")
LIST_LENGTHS = (50_000, 200_000)  # and all that the public n-gram has
NOISED_LENGTH = 200_000
ROUND_CLIENTS, ROUNDS = 100, (1, 3, 5)
DECAY = 0.5
NOISE_MULTIPLIERS = (0.5, 2.0)
POPULATIONS = (50_000,)
SHARES = (0.1, 0.03, 0.01)
VOTING_POPULATIONS, VOTING_EPSILONS = (1000, 10_000, 50_000, 500_000), (8, 2)
DELTA = 1e-8
SECRET = b"benchmark counting".ljust(32, b"\0")
"""Noise that protects nobody, so that figures can be reproduced."""

Messages = list[list[int]]


@dataclass(frozen=True)
class Clients:
    """What clients typed, and what each counts of the whole list.

    Attributes:
        public: n-gram that the lists are of.
        messages: encoded, of each client.
        settings: of counting.
    """

    public: NgramTable
    messages: Sequence[Messages]
    settings: CountingSettings

    @cached_property
    def listed(self) -> NgramList:
        """The list that phones count."""
        return NgramList.pinned(self.public)

    @cached_property
    def each(self) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
        """Places in the list and capped counts of each client."""
        print(f"counting {len(self.messages)} clients", flush=True)
        found = []
        for messages in self.messages:
            counts = np.minimum(self.listed.count(messages), self.settings.max_count)
            at = np.flatnonzero(counts)
            found.append((at, counts[at].astype(np.float32)))
        return found

    def summed(self, listed: NgramList, clients: Sequence[int]) -> npt.NDArray[np.float32]:
        """Return the exact sum over some clients of a part of the list, float32 [n-grams]."""
        place = find(listed.keys, self.listed.keys)
        total = np.zeros(len(listed), np.float32)
        for client in clients:
            at, counts = self.each[client]
            own = place[at]
            total[own[own >= 0]] += clip(counts[own >= 0], self.settings.clip)
        return total


def main() -> None:
    """Measure what is not kept yet, and write the figures."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--corpus", default="chitchat")
    parser.add_argument("--every", type=whole, default=8, help="only every n-th held-out user")
    parser.add_argument("--out", type=Path, default=Path("runs/counting"), help="folder of what is kept between calls")
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure; figures of others stay"
    )
    arguments = parser.parse_args()
    ground = Ground.prepared(arguments.corpus, SETTINGS, arguments.out)
    folder = arguments.out / f"every-{arguments.every}"
    evaluator = Evaluator(ground.ready.split, every=arguments.every, show=words_bar)
    tables, public = ground.ready.tables["train"], ground.start.mixture.public
    if public is None:
        raise SystemExit("the public start has no n-gram")
    texts = [[message.tolist() for message in tables.messages(user)] for user in range(len(tables.users))]
    clients = Clients(public, texts, CountingSettings())
    rows: dict[str, Evaluation] = {}

    def row(name: str, model: "partial[Checkpoint]") -> None:
        path = folder / f"{name}.json"
        rows[name] = Evaluation.from_json(kept(path, lambda: evaluator.network(model(), name=name).to_json()))
        print(table([rows[name]]), flush=True)

    voting = Voting.of(ground.start.vocabulary, texts, list(ground.ready.split.held_out.values()))
    figures = [Figure("clients", len(texts), "clients that count")]
    if "words" in arguments.parts:
        figures += voting.figures()
    if "sums" in arguments.parts:
        figures += [*_costs(clients), *_seen(clients), *_membership(clients)]
    if "recall" in arguments.parts:
        everybody = range(len(texts))
        row("public", partial(ground.with_parts, ground.start))
        for length in LIST_LENGTHS:
            row(f"list_{length}", partial(_exact, ground, clients, length, everybody))
        row("list_all", partial(_exact, ground, clients, None, everybody))
        order = np.random.default_rng(1).permutation(len(texts))
        order = order[: ROUNDS[-1] * min(ROUND_CLIENTS, len(texts) // ROUNDS[-1])]
        for rounds in ROUNDS:
            row(f"rounds_{rounds}", partial(_rounds, ground, clients, order, rounds, 1.0))
        row(f"rounds_{ROUNDS[-1]}_decay", partial(_rounds, ground, clients, order, ROUNDS[-1], DECAY))
        for multiplier in NOISE_MULTIPLIERS:
            row(f"noise_{multiplier:g}", partial(_noised, ground, clients, multiplier))
            for population in POPULATIONS:
                name = f"noise_{multiplier:g}_population_{population}"
                row(name, partial(_population, ground, clients, multiplier, population))
        row("new_words", partial(_widened, ground, voting))
        figures += _gains(rows)
        figures.append(Figure("users", len(rows["public"].users), f"users, every {arguments.every}. held-out one"))
    measured = {figure.figure for figure in figures}
    write("counting", figures, keep=lambda name: name not in measured)


@dataclass(frozen=True)
class Voting:
    """Votes of clients, and the words of held-out users that no phone could suggest.

    Attributes:
        listed: the candidates.
        clients: number of those that vote.
        total: sum of their votes, [candidates].
        missing: how often held-out users typed each word that the lexicon lacks.
    """

    listed: WordList
    clients: int
    total: npt.NDArray[np.float32]
    missing: Counter[str]

    @classmethod
    def of(cls, vocabulary: Vocabulary, clients: Sequence[Messages], held_out: Sequence[Sequence[str]]) -> "Voting":
        """Let every client vote."""
        listed = WordList(vocabulary.candidates, vocabulary)
        total = np.sum([listed.count(messages) for messages in clients], axis=0).astype(np.float32)
        typed = (token for texts in held_out for text in texts for token in tokenise(text) if token.is_word)
        missing = Counter(t.symbol for t in typed if t.symbol not in CLASSES and t.symbol not in vocabulary.lexicon)
        return cls(listed, len(clients), total, missing)

    def shares(self, population: int, epsilon: float = math.inf) -> dict[str, float]:
        """Return the accepted words of one round of a population in which every client stands for many."""
        sums, variance = self.total * (population / self.clients), 0.0
        if math.isfinite(epsilon):
            plan = CountingPlan(rho_of_epsilon(epsilon, DELTA), population, CLIP, len(self.listed))
            variance = plan.deviation**2
            sums += np.random.default_rng(1).normal(0, plan.deviation, len(sums)).astype(np.float32)
        votes = Votes(np.zeros_like(sums)).added(sums, population, variance, 1.0)
        shares = votes.shares(VotingSettings().min_votes)
        return {self.listed.words[place]: float(shares[place]) for place in np.flatnonzero(shares)}

    def figures(self) -> list[Figure]:
        """Return how many words are found, how many held-out users use too, and their share of what was missing."""
        missing = max(self.missing.total(), 1)
        listed = sum(self.missing[word] for word in self.listed.words)
        figures = [
            Figure("new_words_listed", len(self.listed), "candidates"),
            Figure("new_words_listed_percent", 100 * listed / missing, "% of words typed that the lexicon lacks"),
        ]
        cases = [(f"{self.clients}_clients", self.shares(self.clients), "exact sum")]
        for population in VOTING_POPULATIONS:
            cases += [
                (f"epsilon_{epsilon}_population_{population}", self.shares(population, epsilon), "labelled, simulated")
                for epsilon in VOTING_EPSILONS
            ]
        for name, accepted, kind in cases:
            found = sum(self.missing[word] for word in accepted)
            used = sum(word in self.missing for word in accepted)
            figures += [
                Figure(f"new_words_found_{name}", len(accepted), f"words ({kind})"),
                Figure(f"new_words_found_percent_{name}", 100 * found / missing, f"% of what is missing ({kind})"),
                Figure(f"new_words_right_percent_{name}", 100 * used / max(len(accepted), 1), "% that others use too"),
            ]
        return figures


def _widened(ground: Ground, voting: Voting) -> Checkpoint:
    """Return the public start with the words that all clients' votes accept, without noise."""
    start = ground.with_parts(ground.start)
    return replace(start, vocabulary=start.vocabulary.widened(voting.shares(voting.clients)))


def _gains(rows: dict[str, Evaluation]) -> list[Figure]:
    base, figures = rows["public"], []
    for name, evaluation in rows.items():
        figures += [
            Figure(f"{name}_{metric}", evaluation.value(metric), "%", "public", base.value(metric)) for metric in SHOWN
        ]
        for metric in () if name == "public" else SHOWN:
            found = compare(base, evaluation, metric)
            figures += [
                Figure(f"{name}_over_public_{metric}_points", found.difference, "points"),
                Figure(f"{name}_over_public_{metric}_standard_error", found.standard_error, "points"),
            ]
    return figures


def _exact(ground: Ground, clients: Clients, length: int | None, chosen: Sequence[int]) -> Checkpoint:
    listed = clients.listed if length is None else NgramList.of(clients.public, length)
    return ground.with_parts(ground.start, CountedNgram(clients.summed(listed, chosen), listed))


def _rounds(ground: Ground, clients: Clients, order: npt.NDArray[np.int64], rounds: int, decay: float) -> Checkpoint:
    """Return what this many rounds count, each of other clients of all in an order, earlier ones decaying."""
    counts = np.zeros(len(clients.listed), np.float32)
    for cohort in order.reshape(ROUNDS[-1], -1)[:rounds]:
        counts = np.float32(decay) * counts + clients.summed(clients.listed, cohort.tolist())
    return ground.with_parts(ground.start, CountedNgram(counts, clients.listed))


def _noised(ground: Ground, clients: Clients, multiplier: float) -> Checkpoint:
    listed = NgramList.of(clients.public, NOISED_LENGTH)
    privacy = Privacy(Mechanism.SKELLAM, multiplier)
    print(f"noise of {len(clients.messages)} clients, multiplier {multiplier:g}", flush=True)
    result = count(clients.messages, listed, clients.settings, secret=SECRET, privacy=privacy)
    return ground.with_parts(ground.start, result.ngram(listed))


def _population(ground: Ground, clients: Clients, multiplier: float, population: int) -> Checkpoint:
    """Return what a fleet in which every client stands for many would count, with the noise of one sum over it."""
    listed = NgramList.of(clients.public, NOISED_LENGTH)
    copies = population / len(clients.messages)
    exact = clients.summed(listed, range(len(clients.messages))) * copies
    deviation = multiplier * clients.settings.clip * math.sqrt(math.ceil(population / MAX_COHORT))
    noise = np.random.default_rng(1).normal(0, deviation, len(listed))
    counts = ((exact + noise) / copies).astype(np.float32)
    counted = CountedNgram(counts, listed, threshold=threshold(deviation, len(listed)) / copies)
    return ground.with_parts(ground.start, counted)


def _costs(clients: Clients) -> list[Figure]:
    sent = count(clients.messages[:50], clients.listed, clients.settings, secret=SECRET).upload_bytes
    norms = [float(np.linalg.norm(counts)) for _, counts in clients.each]
    figures = [
        Figure("upload_mb", sent / 1e6, "MB a phone and counting round"),
        Figure("list_length", len(clients.listed), "n-grams that phones count"),
        Figure("clipped_clients_percent", 100 * float(np.mean(np.array(norms) > clients.settings.clip)), "%"),
    ]
    for multiplier in NOISE_MULTIPLIERS:
        epsilon = epsilon_of_rho(1 / (2 * multiplier**2), DELTA)
        figures.append(Figure(f"epsilon_noise_{multiplier:g}", epsilon, f"at delta {DELTA:g}"))
    return figures


def _seen(clients: Clients) -> list[Figure]:
    """Return how much of the list is used by some share of clients at least: what noise must not hide."""
    users, counts = np.zeros(len(clients.listed)), np.zeros(len(clients.listed))
    for at, own in clients.each:
        users[at] += 1
        counts[at] += own
    figures = []
    for share in SHARES:
        often = users >= share * len(clients.messages)
        name = f"ngrams_of_{100 * share:g}_percent_of_clients"
        figures += [
            Figure(name, float(often.sum()), "n-grams of the list"),
            Figure(f"{name}_share_of_counts", 100 * float(counts[often].sum() / counts.sum()), "% of what is counted"),
        ]
    return figures


def _membership(clients: Clients) -> list[Figure]:
    """Attack: everybody else's counts are known; did this client type a phrase that nobody else typed?"""
    listed = NgramList.of(clients.public, NOISED_LENGTH)
    group = clients.messages[:50]
    each = np.array([np.minimum(listed.count(client), 1) for client in group], np.int8)
    alone = np.flatnonzero(each.sum(axis=0) == 1)
    nobody = np.flatnonzero((each.sum(axis=0) == 0) & (np.arange(len(listed)) >= listed.size))
    random = np.random.default_rng(2)
    members, others = (random.choice(places, min(500, len(places)), replace=False) for places in (alone, nobody))
    figures: list[Figure] = []
    for multiplier in (0.0, *NOISE_MULTIPLIERS):
        privacy = Privacy(Mechanism.SKELLAM, multiplier) if multiplier else None
        counts = count(group, listed, clients.settings, secret=SECRET, privacy=privacy).counts
        higher = (counts[members][:, None] > counts[others][None, :]).mean()
        figures.append(
            Figure(
                f"membership_auc_noise_{multiplier:g}",
                float(higher),
                "area under the curve; 0.5 is chance",
                "without noise",
                figures[0].value if figures else None,
            )
        )
    return figures


if __name__ == "__main__":
    main()
