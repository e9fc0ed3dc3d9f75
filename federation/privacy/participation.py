"""How often phones take part: what a plan assumes, and what really happened."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from federation.privacy.errors import AssumptionError
from model.wording import in_words


@dataclass(frozen=True)
class Participation:
    """How often any one phone takes part, at most.

    Attributes:
        rounds: of the run.
        max_participations: rounds that a phone is in.
        min_separation: difference of the numbers of two such rounds, at least.
    """

    rounds: int
    max_participations: int
    min_separation: int = 1

    def __post_init__(self) -> None:
        if min(self.rounds, self.max_participations, self.min_separation) < 1:
            raise AssumptionError(f"rounds, participations and separation are at least 1: {in_words(self)}")
        fits = (self.rounds - 1) // self.min_separation + 1
        if self.max_participations > fits:
            raise AssumptionError(
                f"{self.rounds} rounds hold {fits} participations that are {self.min_separation} apart, "
                f"not {self.max_participations}: lower the participations or the separation"
            )

    @classmethod
    def in_passes(cls, rounds: int, population: int, cohort: int) -> "Participation":
        """Return that of phones each of which comes once in every pass over the population."""
        separation = max(1, min(population // cohort, rounds))
        return cls(rounds, (rounds - 1) // separation + 1, separation)

    @property
    def worst(self) -> range:
        """The rounds, from 0, at which such a phone is hidden worst by noise whose correlation falls with time."""
        return range(0, self.max_participations * self.min_separation, self.min_separation)


class ParticipationLog:
    """Who really took part: what an assumed `Participation` is held against."""

    def __init__(self) -> None:
        self._rounds: defaultdict[str, list[int]] = defaultdict(list)
        self._last = 0

    def record(self, round_number: int, devices: Iterable[str]) -> None:
        """Add a round, whether it succeeded or not.

        Raises:
            ValueError: it is not after the last one.
        """
        if round_number <= self._last:
            raise ValueError(f"round {round_number} is not after round {self._last}")
        self._last = round_number
        for device in set(devices):
            self._rounds[device].append(round_number)

    @property
    def participation(self) -> Participation:
        """The tightest assumption that holds.

        Raises:
            AssumptionError: nobody has taken part.
        """
        if not self._rounds:
            raise AssumptionError("nobody has taken part yet: there is nothing to account for")
        gaps = (later - earlier for rounds in self._rounds.values() for earlier, later in pairwise(rounds))
        participations = max(len(rounds) for rounds in self._rounds.values())
        return Participation(self._last, participations, min(gaps, default=self._last))

    def check(self, assumed: Participation) -> None:
        """Raise AssumptionError, naming the phone, if any came more often or sooner than assumed."""
        if self._last > assumed.rounds:
            raise AssumptionError(f"{self._last} rounds were run, more than the {assumed.rounds} accounted for")
        for device, rounds in self._rounds.items():
            gap = min((later - earlier for earlier, later in pairwise(rounds)), default=self._last)
            if len(rounds) > assumed.max_participations:
                raise AssumptionError(
                    f"phone {device} took part {len(rounds)} times, not at most {assumed.max_participations}"
                )
            if len(rounds) > 1 and gap < assumed.min_separation:
                raise AssumptionError(
                    f"phone {device} came back after {gap} rounds, sooner than the {assumed.min_separation} assumed"
                )
