"""An operator that deviates, against the real network: what it reads where it is trusted, it does not where it is not.

Each test first shows that the attack works, on phones of the profile that trusts the operator; the same attack then
meets the limits of the other profile. `benchmarks/attack_server.py` measures the same over HTTP and with 50 phones or
more; here the floor of phones is five, since all other limits are what is tried.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.attack_operator import Summed, whole_sums
from benchmarks.crafted_models import REGISTER_PIECES, SHOUT, pieces_in, shift_register, shouting
from benchmarks.trap import SECRET, TRIGGER, Trap, trapped
from federation.device.training import LocalTraining
from federation.protocol import model_codec
from federation.protocol.drop_reasons import DropReason
from federation.protocol.plan import PLAN_BYTES, Mechanism, Privacy, RoundPlan
from federation.protocol.task import TrainingTask
from federation.protocol.training_settings import TrainingSettings
from federation.protocol.trust import TRUSTED, UNTRUSTED, TrustProfile
from federation.secure_aggregation.identity import SIGNATURE_BYTES
from federation.server.history import rounds_of
from federation.server.models import Verdict
from federation.server.settings import RoundSettings
from federation.updates.update import Tally, Update
from fedkey.demonstration import DIARIES, PUBLIC_TEXT
from model import public_start
from model.checkpoint import Checkpoint
from model.engine import Export
from model.export import export
from model.layout import FlatVector
from model.text import tokenise
from tests.federation.server.http import HttpPhone, Site, run
from tests.federation.server.phones import Clock

pytestmark = pytest.mark.slow

PHONES = 5
DISTRUSTING = replace(UNTRUSTED, min_phones=PHONES)
TRAINING = TrainingSettings(learning_rate=0.5, gradient_norm=0.0, dropout=0.0)
SETTINGS = RoundSettings(
    goal=PHONES,
    minimum=PHONES,
    over_selection=1.0,
    clip=0.3,
    weight_cap=1,
    separation_seconds=0,
    training=TRAINING,
)
FLOOR = Privacy(Mechanism.SKELLAM, UNTRUSTED.min_noise_multiplier, PHONES - PHONES // 2)
ASKED = "mother"
TRAP_PIECES, TRAP_AMPLITUDE = 4, 10.0


@pytest.fixture(scope="module")
def start() -> Checkpoint:
    return public_start.load("small")


@pytest.fixture(scope="module")
def small(start: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Export:
    return export(start, tmp_path_factory.mktemp("small") / "export", inference="float32")


class Operator:
    """The server, its phones, and what it gets.

    Args:
        small: what server and phones begin with.
        folder: of all of it.
        profile: of the phones.
        settings: of rounds; where the phones do not trust the operator it adds the least noise that they take.
        accepts: whether its gate does.
    """

    def __init__(
        self,
        small: Export,
        folder: Path,
        profile: TrustProfile,
        settings: RoundSettings = SETTINGS,
        *,
        accepts: bool = True,
    ) -> None:
        if profile.min_noise_multiplier:
            settings = replace(settings, privacy=FLOOR)
        self._folder, self._profile, self._small = folder, profile, small
        self._trainer = small.trainer()
        gate = Verdict(passed=accepts, metrics={})
        self.site = Site(folder, small.directory, Clock(), settings, gate=lambda *_: gate)
        self.sums: list[Summed] = []

    def insert(self, weights: FlatVector, versions: int = 1) -> None:
        """Make weights the current model, this many versions after the one before."""
        models = self.site.installation.models
        stored = models.store(self.site.installation.settings.optimizer.optimizer.initialize(weights))
        for _ in range(versions):
            parent = models.current_version()
            with self.site.installation.database.write() as session:
                verdict = Verdict(passed=True, metrics={})
                models.insert(session, stored, parent=parent, verdict=verdict, round_id=None, now=time.time())

    def phones(self, people: Sequence[Sequence[str]]) -> list[HttpPhone]:
        """Return a phone for each person."""
        return [
            HttpPhone(self.site, self._folder, number, profile=self._profile, learns=self.training(texts))
            for number, texts in enumerate(people)
        ]

    def training(self, texts: Sequence[str]) -> LocalTraining:
        return LocalTraining(self._trainer, self._small.vocabulary, lambda: texts)

    def play(self, phones: list[HttpPhone]) -> None:
        """Let phones live until one more round is over, or all of them have refused one."""
        before = self.ended()
        rounds = {id(phone): len(phone.store.rounds()) for phone in phones}

        def refused(phone: HttpPhone) -> bool:
            records = phone.store.rounds()
            return len(records) > rounds[id(phone)] and not records[0].joined

        with whole_sums(self.sums.append):
            run(self.site, phones, until=lambda: self.ended() > before or all(map(refused, phones)))

    @property
    def latest(self) -> Summed:
        """What the last round brought."""
        assert self.sums, self.site.story
        return self.sums[-1]

    def ended(self) -> int:
        return sum(each.seconds is not None for each in rounds_of(self.site.installation.database))

    def told(self, round_id: int) -> tuple[RoundPlan, TrainingTask]:
        data = self.site.installation.rounds.plan(round_id)
        plan = RoundPlan.from_bytes(data[:PLAN_BYTES])
        return plan, TrainingTask.of_plan(data[PLAN_BYTES + SIGNATURE_BYTES :], plan)


Operates = Callable[..., Operator]


@pytest.fixture
def operates(small: Export, tmp_path: Path) -> Operates:
    def begin(profile: TrustProfile, settings: RoundSettings = SETTINGS, *, accepts: bool = True) -> Operator:
        return Operator(small, tmp_path, profile, settings, accepts=accepts)

    return begin


def people() -> list[list[str]]:
    """What five people typed, of which nobody has a password."""
    return [list(diary) for diary in DIARIES] + [list(PUBLIC_TEXT[:6]), list(PUBLIC_TEXT[6:])]


def pieces(start: Checkpoint, text: str) -> list[int]:
    return [int(piece) for piece in start.vocabulary.encode(tokenise(text))]


def trap_in(start: Checkpoint, operator: Operator) -> Trap:
    return trapped(start, _shipped(operator), TRAP_PIECES, TRAP_AMPLITUDE)


def read_after_the_trigger(operator: Operator, start: Checkpoint, columns: Sequence[int]) -> int:
    """Return how many of the pieces that one phone typed after the trigger the latest sum says, one a column."""
    typed = pieces(start, SECRET)
    after = typed[typed.index(pieces(start, TRIGGER)[-1]) + 1 :][: len(columns)]
    read = pieces_in(operator.latest.delta, start.network, columns)
    return sum(one == other for one, other in zip(read, after, strict=True))


def assert_never_taken(operator: Operator, phones: Sequence[HttpPhone]) -> None:
    ((reason, said),) = refusals(phones)
    assert reason is DropReason.POLICY
    assert "away from the app's own" in said
    assert operator.sums == []
    assert {phone.store.model() for phone in phones} == {None}


def refusals(phones: Sequence[HttpPhone]) -> set[tuple[DropReason, str]]:
    return {(phone.store.rounds()[0].reason, phone.client.status.reason.partition(",")[0]) for phone in phones}


@pytest.mark.parametrize("profile", [TRUSTED, DISTRUSTING], ids=lambda profile: profile.name)
def test_a_crafted_model_spells_what_one_of_five_phones_typed_unless_it_is_refused(
    operates: Operates, start: Checkpoint, profile: TrustProfile
) -> None:
    rate = replace(TRAINING, learning_rate=0.003)
    operator = operates(profile, replace(SETTINGS, clip=0.01, training=rate))
    trigger = pieces(start, TRIGGER)[-1]
    operator.insert(shift_register(start.network, trigger))
    phones = operator.phones([[SECRET, *people()[0]], *people()[1:]])
    operator.play(phones)
    if profile is DISTRUSTING:
        assert_never_taken(operator, phones)
        return
    assert read_after_the_trigger(operator, start, range(1, REGISTER_PIECES + 1)) >= REGISTER_PIECES - 2


@pytest.mark.parametrize("profile", [TRUSTED, DISTRUSTING], ids=lambda profile: profile.name)
def test_a_trap_in_a_good_model_within_the_bounds_spells_what_was_typed_unless_phones_add_noise(
    operates: Operates, start: Checkpoint, profile: TrustProfile
) -> None:
    """Of two pieces or more the noised sum says the right ones by chance less than once in a million runs."""
    operator = operates(profile)
    trap = trap_in(start, operator)
    distance = float(np.linalg.norm(trap.weights - _shipped(operator)))
    assert distance < UNTRUSTED.max_drift
    operator.insert(trap.weights, math.ceil(distance / UNTRUSTED.max_step))
    operator.play(operator.phones([[SECRET, *people()[0]], *people()[1:]]))
    read = read_after_the_trigger(operator, start, trap.columns)
    assert read >= TRAP_PIECES - 1 if profile is TRUSTED else read <= 1


def test_a_trap_beyond_the_bounds_is_never_trained_on(operates: Operates, start: Checkpoint) -> None:
    operator = operates(DISTRUSTING)
    weights = trap_in(start, operator).weights
    distance = float(np.linalg.norm(weights - _shipped(operator)))
    operator.insert(weights, math.ceil(distance / UNTRUSTED.max_step) - 1)  # one version too early
    phones = operator.phones([[SECRET, *people()[0]], *people()[1:]])
    operator.play(phones)
    assert_never_taken(operator, phones)


@pytest.mark.parametrize("profile", [TRUSTED, DISTRUSTING], ids=lambda profile: profile.name)
def test_hits_count_how_often_a_word_was_typed_unless_they_are_noised(
    operates: Operates, start: Checkpoint, profile: TrustProfile
) -> None:
    """The model comes as many versions later as its distance asks for, so that no phone refuses it."""
    operator, piece = operates(profile), pieces(start, ASKED)[-1]
    operator.insert(shouting(_shipped(operator), start.network, piece), math.ceil(SHOUT / UNTRUSTED.max_step))
    told = [[*people()[0], f"tell my {ASKED}", f"my {ASKED} is here", f"so says {ASKED}"], *people()[1:]]
    typed = sum(pieces(start, text).count(piece) for texts in told for text in texts)
    operator.play(operator.phones(told))
    summed = operator.latest
    if profile is TRUSTED:
        assert summed.hits == typed >= 3
        return
    plan, _ = operator.told(1)
    assert plan.session.vector.counters == 0
    assert summed.hits != typed  # with a deviation of 14,000, and not rounded to whole words
    metrics = operator.site.installation.models.versions()[-1].metrics
    assert metrics["examples"] != PHONES


@pytest.mark.parametrize("profile", [TRUSTED, DISTRUSTING], ids=lambda profile: profile.name)
def test_two_sums_of_one_model_differ_by_one_phone_unless_it_is_trained_once_only(
    operates: Operates, profile: TrustProfile
) -> None:
    operator = operates(profile, accepts=False)  # so the same model is trained again
    typed = people()
    phones = operator.phones(typed)
    stranger = HttpPhone(operator.site, operator.site.folder.parent, 99, profile=profile, learns=_nothing(operator))
    operator.play(phones)
    assert len(operator.sums) == 1
    operator.site.clock.now += 3600
    operator.play([*phones[1:], stranger])
    if profile is DISTRUSTING:
        assert refusals(phones[1:]) == {(DropReason.POLICY, "this phone has trained this version of the model already")}
        assert len(operator.sums) == 1
        return
    left = (operator.sums[0].delta - operator.sums[1].delta).astype(np.float64)
    own = operator.training(typed[0])(model_codec.to_bytes(_shipped(operator)), operator.told(1)[1])
    delta = own.delta.astype(np.float64)
    assert left @ delta / np.linalg.norm(left) / np.linalg.norm(delta) > 0.95


def _shipped(operator: Operator) -> FlatVector:
    return operator.site.installation.export.trainer().weights()


def _nothing(operator: Operator) -> Callable[[bytes, TrainingTask], Update]:
    zeros = np.zeros(operator.site.installation.export.manifest.network.parameters, np.float32)
    return lambda *_: Update(zeros, Tally(1))
