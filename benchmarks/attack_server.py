"""What an operator who deviates gets out of its phones, over HTTP: with the profile that trusts it, and with the other.

    uv run python -m benchmarks.attack_server

Server and phones are the real parts with the `small` public start: `benchmarks/attack_operator.py` runs the round
server, `benchmarks/attack_phones.py` device clients that train what ChitChat's users wrote. The operator has the
server's key and database, so it inserts models of its own, and versions between them, and promotes them.

- fishing: a model made from nothing, a shift register behind the word "password"; its sum spells what one phone typed.
- trap: a register of four pieces in a few units of the good model, as many versions later as its distance asks for.
- counters: a model that always says one word; its hits count how often all phones typed it.
- differencing: two sums of one model, in one of which a phone of the operator's own stands for one phone; where phones
  train a model once only, of two that differ in one bit of one weight.
- sybils: all phones but one are the operator's, which it subtracts; certified by an authority of its own, or by the
  real one, which none of this protects from.
- selection: a sum of five, four of which are the operator's; and a group of its choice in a larger cohort.

In cohorts above `--over-http` one phone joins in this process and says what it refuses; the sum of all is made by the
plan's own encoding and noise, without masks, and figures say so in their names. What a phone refused, the figure's
reference says in the phone's own words. The app's comparison of a model with what its owner types is left out: headless
phones have none. Cosines are with the one phone's update, beside the largest of people who were not in the sum: that is
chance.
"""

import argparse
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmarks.arguments import whole
from benchmarks.attack_stage import Stage
from benchmarks.attack_world import OUTSIDERS, Played, World
from benchmarks.crafted_models import REGISTER_PIECES, SHOUT, output_bias, pieces_in, shift_register, shouting
from benchmarks.results import Figure, kept_figures, write
from benchmarks.trap import SECRET, TRIGGER, trapped
from federation.protocol.trust import PROFILES
from federation.updates.counts import MAX_TOKENS, NoisedCounts
from federation.updates.update import Tally
from fedkey.paths import RUNS
from model.layout import FlatVector

ASKED = "mother"
TRAP_PIECES, TRAP_AMPLITUDE = 4, 10.0

_TIMES_TYPED = 3
_FEW = 5


@dataclass(frozen=True)
class Attack:
    """One attack on the phones of one profile.

    Attributes:
        world: where it takes place.
        profile: name of the phones' trust profile.
        phones: in a sum.
        folder: of the attack, made anew.
        over_http: whether all phones take part over HTTP; see `Stage`.
    """

    world: World
    profile: str
    phones: int
    folder: Path
    over_http: bool

    @property
    def name(self) -> str:
        """What figures end with."""
        return f"{self.profile}_{self.phones}" + ("" if self.over_http else "_in_process")

    @cached_property
    def people(self) -> list[list[str]]:
        """What was typed on each phone; the first one's is what the operator is after."""
        return self.world.people[: self.phones]

    def stage(self, what: str = "", **changes: object) -> Stage:
        """Return a new server and its phones."""
        folder = self.folder / (what or "server")
        return Stage(self.world, folder, self.profile, self.phones, changes, over_http=self.over_http)

    def fishing(self) -> list[Figure]:
        """Return how many pieces after the trigger the sum of a crafted model spells."""
        crafted = shift_register(self.world.start.network, self.world.pieces(TRIGGER)[-1])
        with self.stage(clip=0.01, learning_rate=0.003) as stage:
            stage.insert(crafted)
            played = stage.play(stage.parties([_with_secret(self.people[0]), *self.people[1:]]))
        return [self._read("fishing", played, range(1, REGISTER_PIECES + 1))]

    def trap(self) -> list[Figure]:
        """Return how many pieces a register in the good model reads."""
        good = self.world.weights
        trap = trapped(self.world.start, good, TRAP_PIECES, TRAP_AMPLITUDE)
        distance = float(np.linalg.norm(trap.weights - good))
        with self.stage() as stage:
            stage.insert(trap.weights, distance)
            played = stage.play(stage.parties([_with_secret(self.people[0]), *self.people[1:]]))
        return [self._read("trap", played, trap.columns)]

    def _read(self, attack: str, played: Played, columns: Sequence[int]) -> Figure:
        """Read the pieces after the trigger off the columns of the embedding."""
        typed = self.world.pieces(SECRET)
        after = typed[typed.index(self.world.pieces(TRIGGER)[-1]) + 1 :][: len(columns)]
        found = 0
        if played.sum is not None:
            told = pieces_in(played.sum.delta, self.world.start.network, columns)
            found = sum(one == other for one, other in zip(told, after, strict=True))
        typed_after = f"pieces that a register of {len(after)} is for"
        return Figure(f"pieces_{attack}_{self.name}", found, "pieces", played.refused or typed_after, len(after))

    def counters(self) -> list[Figure]:
        """Return how wrong the operator is about how often a word was typed, in one sum."""
        piece = self.world.pieces(ASKED)[-1]
        told = [f"tell my {ASKED} that i am late"] * _TIMES_TYPED
        people = [self.world.fitting([*told, *self.people[0]]), *self.people[1:]]
        typed = sum(self.world.targets(texts).count(piece) for texts in people)
        with self.stage() as stage:
            stage.insert(shouting(self.world.weights, self.world.start.network, piece), SHOUT)
            played = stage.play(stage.parties(people))
            if played.sum is None:
                return [Figure(f"counter_error_{self.name}", typed, "words", played.refused)]
            deviation = stage.noise_deviation
        unit = (
            NoisedCounts(stage.clip, 1).beside(np.zeros(0, np.float32), Tally(1, MAX_TOKENS, 0.0, MAX_TOKENS))[-2]
            / MAX_TOKENS
        )
        error = abs(played.sum.hits - typed)
        said = "deviation of the noise" if deviation else "words typed"
        reference = deviation / float(unit) if deviation else typed
        return [Figure(f"counter_error_{self.name}", error, "words", said, reference)]

    def differencing(self) -> list[Figure]:
        """Return what the difference of two sums says of the one phone that is in one of them only."""
        figures = []
        again = self.world.weights.copy()
        again[0] = np.nextafter(again[0], np.float32(1))
        with self.stage() as stage:
            mine, rest, sybil = stage.parties(self.people, sybils=1, apart=True)
            first = stage.play([mine, rest])
            for name, weights in (("differencing", self.world.weights), ("differencing_in_one_bit", again)):
                stage.insert(weights)
                second = stage.play([rest, sybil])
                figures += self._seen(name, first, second)
                if second.sum is not None:
                    break
        return figures

    def sybils(self) -> list[Figure]:
        """Return what a sum says of the one phone in it that is not the operator's."""
        figures = []
        for what in ("", "own_authority"):
            with self.stage(what) as stage:
                if what:
                    stage.bring_own_authority()
                parties = stage.parties(self.people[:1], sybils=self.phones - 1)
                figures += self._seen("_".join(filter(None, ("sybils", what))), stage.play(parties))
        return figures

    def selection(self) -> list[Figure]:
        """Return what chosen cohorts and groups say of one phone."""
        figures = []
        if self.over_http:
            few = Stage(self.world, self.folder / "few", self.profile, _FEW, {}, over_http=True)
            with few as stage:
                people, sybils = stage.parties(self.people[:1], sybils=_FEW - 1)
                figures += self._seen("selection_of_five", stage.play([people, sybils]))
        group = max(2, self.phones // 4)
        split = {"group_phones": group}
        with Stage(self.world, self.folder / "group", self.profile, self.phones, split, over_http=True) as stage:
            people, sybils = stage.parties(self.people[: self.phones - group + 1], sybils=group - 1)
            stage.choose(people, sybils)
            played = stage.play([people, sybils])
            return figures + self._seen("selection_of_a_group", played, name=f"{self.profile}_{self.phones}")

    def _seen(self, attack: str, played: Played, without: Played | None = None, name: str = "") -> list[Figure]:
        """Compare a sum, or the difference of two, with the first phone's update and with those of other people."""
        refused = played.refused or (without.refused if without else "")
        name = name or self.name
        names = f"cosine_{attack}_{name}", f"words_{attack}_{name}"
        sums = [each.sum for each in (played, without) if each is not None]
        if None in sums:
            return [Figure(names[0], 0.0, "", refused), Figure(names[1], 0.0, "%", refused)]
        first, *second = [each.delta for each in sums if each is not None]
        left = first - second[0] if second else first
        update, *outsiders = played.updates([self.people[0], *self.world.people[-OUTSIDERS:]])
        chance = max(abs(_cosine(left, other)) for other in outsiders)
        bias = [output_bias(each, self.world.start.network) for each in (left, *outsiders)]
        typed = set(self.world.targets(self.people[0]))
        shares = [_recovered(each, typed) for each in (bias[0], np.mean(bias[1:], axis=0))]
        return [
            Figure(names[0], _cosine(left, update), "", "people who were not in the sum, at most", chance),
            Figure(names[1], shares[0], "%", "a guess from other people's updates", shares[1]),
        ]


ATTACKS: dict[str, Callable[[Attack], list[Figure]]] = {
    "fishing": Attack.fishing,
    "trap": Attack.trap,
    "counters": Attack.counters,
    "differencing": Attack.differencing,
    "sybils": Attack.sybils,
    "selection": Attack.selection,
}


def main() -> None:
    """Attack and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phones", type=whole, nargs="+", default=[50, 200], help="in a sum")
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, default=list(ATTACKS))
    parser.add_argument("--profiles", nargs="+", choices=PROFILES, default=list(PROFILES))
    parser.add_argument("--out", type=Path, default=RUNS / "attack_server", help="folder of what is kept between calls")
    parser.add_argument("--over-http", type=whole, default=100, help="largest sum whose vectors go over HTTP too")
    arguments = parser.parse_args()
    world = World.prepared(arguments.out, max(arguments.phones))
    for phones in arguments.phones:
        for name in arguments.attacks:
            for profile in arguments.profiles:
                print(f"{name}, {profile} operator, {phones} phones", flush=True)
                folder = arguments.out / f"{name}-{profile}-{phones}"
                attack = Attack(world, profile, phones, folder, phones <= arguments.over_http)
                kept_figures(folder.with_suffix(".json"), lambda: _anew(attack, ATTACKS[name]))  # noqa: B023
    paths = sorted(arguments.out.glob("*-*-*.json"), key=lambda path: int(path.stem.rsplit("-", 1)[1]))
    figures = [each for path in paths for each in kept_figures(path, list)]  # also of earlier calls
    write("attack_server", [*_headlines(figures), *figures])


def _anew(attack: Attack, run: Callable[[Attack], list[Figure]]) -> list[Figure]:
    shutil.rmtree(attack.folder, ignore_errors=True)  # of a run that was stopped
    found = run(attack)
    shutil.rmtree(attack.folder)
    return found


def _headlines(figures: Sequence[Figure]) -> list[Figure]:
    """Return the most that was read under each profile."""
    found = []
    for name, words in (
        ("fished_pieces", ("pieces_fishing", "pieces_trap")),
        ("counter_error", ("counter_error",)),
        ("sybil_cosine", ("cosine_sybils",)),
    ):
        for profile in PROFILES:
            of_profile = [each for each in figures if each.figure.startswith(words) and f"_{profile}_" in each.figure]
            if of_profile:
                worst = (min if name == "counter_error" else max)(of_profile, key=lambda each: abs(each.value))
                found.append(
                    Figure(f"{name}_{profile}", worst.value, worst.unit, worst.reference, worst.reference_value)
                )
    return found


def _with_secret(texts: Sequence[str]) -> list[str]:
    return [SECRET, *texts[:-3]]  # rows are packed in this order: none ends within what is read


def _cosine(one: FlatVector, other: FlatVector) -> float:
    one, other = one.astype(np.float64), other.astype(np.float64)
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def _recovered(bias: FlatVector, typed: set[int]) -> float:
    """Return how many of this many pieces whose bias rose most were typed, in percent."""
    return 100 * len(set(np.argsort(-bias)[: len(typed)].tolist()) & typed) / len(typed)


if __name__ == "__main__":
    main()
