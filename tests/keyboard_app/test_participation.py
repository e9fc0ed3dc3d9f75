"""Rounds as the app takes part in them, against the real server's application, without sockets."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from federation.base import child_processes
from federation.base.rate_limits import RateLimits
from federation.enrolment.service import create_desk
from federation.fleet.headless import DEFAULT_POLICY
from federation.protocol.conditions import Conditions
from federation.protocol.model_codec import SharedKind
from federation.protocol.training_settings import TrainingSettings
from federation.protocol.trust import PROFILES
from federation.rounds.server_optimizers import ServerState
from federation.server.models import Verdict as GateVerdict
from federation.server.settings import RoundSettings
from keyboard_app import long_work
from keyboard_app.model_comparison import Measured, Verdict
from keyboard_app.participation import Participation
from keyboard_app.privacy import epsilon, rho
from keyboard_app.settings import Settings
from keyboard_app.shared_models import SharedModels
from keyboard_app.status import Outcome
from keyboard_app.typing.vault import FileKeyStore, Vault
from model.engine import Export
from tests.federation.server.http import URL, HttpPhone, Site
from tests.federation.server.phones import Clock
from tests.keyboard_app.conftest import AGREED

SETTINGS = RoundSettings(goal=3, minimum=3, over_selection=1.0, clip=2.0, training=TrainingSettings(epochs=1))
CANARY = "xylopharnix"
READY = Conditions(idle=True, charging=True, unmetered=True)


@dataclass
class Device:
    """How the device is said to be."""

    conditions: Conditions = READY

    def now(self) -> Conditions:
        return self.conditions


@dataclass
class Owner:
    """A phone's owner, without the rest of the phone."""

    folder: Path
    settings: Settings = AGREED
    texts: Sequence[str] = ("see you tomorrow then", f"so {CANARY} it is", "how are you", f"{CANARY} again")
    held_out: Sequence[str] = ("what are you doing", "hello there how are you") * 5
    device: Device = field(default_factory=Device)
    new: int = 4
    used: list[int] = field(default_factory=list)
    used_counts: list[int] = field(default_factory=list)
    trained: int = 0
    counted: list[str] = field(default_factory=list)
    limits: tuple[int, int] = (0, 0)
    shown: list[str] = field(default_factory=list)
    participation: Participation | None = None

    def __post_init__(self) -> None:
        self.vault = Vault(self.folder / "typing.sqlite", FileKeyStore(self.folder / "typing.key"))

    def show(self) -> None:
        assert self.participation is not None
        self.shown.append(self.participation.activity)

    def was_trained(self) -> None:
        self.trained += 1
        self.new = 0

    def use_model(self, version: int, kind: SharedKind) -> None:
        (self.used if kind == "model" else self.used_counts).append(version)

    @property
    def conditions(self) -> Device:
        return self.device

    @property
    def new_examples(self) -> int:
        return self.new

    def training_texts(self, max_messages: int, max_rounds: int) -> Sequence[str]:
        self.limits = max_messages, max_rounds
        return self.texts

    def count_round(self) -> None:
        assert self.participation is not None
        self.counted.append(self.participation.activity)

    def held_out_texts(self) -> Sequence[str]:
        return self.held_out


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def site(tmp_path: Path, exported: Export, clock: Clock) -> Site:
    return Site(tmp_path, exported.directory, clock, SETTINGS)


class Network(httpx.BaseTransport):
    """Leads to the round server and to the enrolment service, and keeps the bodies of all requests."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._desk = httpx.WSGITransport(create_desk(site.authority, rates=RateLimits()))
        self.bodies: list[bytes] = []
        self.paths: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(request.read() + repr(request.headers.raw).encode() + request.url.raw_path)
        self.paths.append(request.url.path)
        return (self._desk if request.url.path == "/v1/enrol" else self._site.wire).handle_request(request)


@pytest.fixture
def network(site: Site) -> Network:
    return Network(site)


@pytest.fixture
def others(site: Site, tmp_path: Path) -> list[HttpPhone]:
    policy = replace(DEFAULT_POLICY, min_phones=3)
    return [HttpPhone(site, tmp_path, number, policy=policy) for number in range(2)]


@pytest.fixture
def owner(tmp_path: Path) -> Owner:
    (tmp_path / "phone").mkdir()
    return Owner(tmp_path / "phone")


def here(_: object, work: Callable[..., object], *arguments: object) -> object:
    """Train in this process: that it runs in another one is another test's business."""
    return work(*arguments)


@pytest.fixture
def participation(network: Network, site: Site, owner: Owner, exported: Export) -> Participation:
    return started(network, site, owner, exported)


def started(network: Network, site: Site, owner: Owner, exported: Export) -> Participation:
    return replaced(network, site, owner, exported, site.trust())


def replaced(network: Network, site: Site, owner: Owner, exported: Export, trust: Path) -> Participation:
    """Return what an app with other keys begins with."""
    models = SharedModels(owner.folder / "models", exported)
    owner.participation = Participation(
        URL,
        owner.folder / "device",
        models,
        owner,
        owner,
        trust=trust,
        transport=network,
        clock=site.clock,
        run=here,
    )
    return owner.participation


def run(
    site: Site, participation: Participation, others: list[HttpPhone], until: Callable[[], bool], seconds: float = 3600
) -> None:
    """Let phones and coordinator act in turn, moving time from one to the next, until something holds."""
    ends = site.clock.now + seconds
    while not until():
        assert site.clock.now < ends, (site.story, participation.activity, participation.problem)
        waits = [participation.step(), *(phone.client.step() for phone in others)]
        while site.coordinator.tick():
            waits = [0.0]
        site.clock.now += min([*waits, 5.0])


def joined(participation: Participation) -> bool:
    return any(entry.outcome is Outcome.JOINED for entry in participation.snapshot().rounds)


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_without_consent_no_request_is_made(network: Network, participation: Participation, owner: Owner) -> None:
    for consent in (None, False):
        owner.settings = replace(owner.settings, consent=consent)
        assert participation.step() > 0
    assert network.bodies == []
    assert participation.snapshot().activity == "Off"
    assert not (owner.folder / "device").exists()


def test_a_round_is_joined_shown_and_says_no_word(
    site: Site,
    network: Network,
    participation: Participation,
    others: list[HttpPhone],
    owner: Owner,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    run(site, participation, others, lambda: joined(participation))
    (entry,) = [entry for entry in participation.snapshot().rounds if entry.outcome is Outcome.JOINED]
    assert entry.reason == "This phone took part."
    assert entry.bytes_up > 4 * site.installation.export.manifest.network.parameters / 4
    assert entry.bytes_down > 0
    assert entry.phones == 3
    assert np.abs(entry.update).max() > 0
    assert entry.masked.size > 0
    assert owner.trained == 1
    assert not any(CANARY.encode() in body.lower() for body in network.bodies)
    assert CANARY.encode() not in everything(owner.folder).lower()
    assert CANARY not in caplog.text.lower()
    assert not list(owner.folder.rglob("contribution.npz"))  # sealed only


def test_the_new_model_is_compared_and_used(
    site: Site, participation: Participation, others: list[HttpPhone], owner: Owner
) -> None:
    run(site, participation, others, lambda: bool(owner.used))
    assert owner.used == [2]
    assert owner.shown == [
        "Comparing the new shared model with the app's own",
        "Training for round 1",
        "Comparing the new shared model with the app's own",
        "Comparing the new shared model with the old one",
    ]
    assert owner.counted == ["Training for round 1"]  # the messages' round, before anything of it left
    assert owner.limits == (400 * 8, owner.settings.max_rounds_per_message)
    models = participation._models.of("model")
    assert models.content(2) == site.installation.models.state(2).weights.tobytes()
    assert models.measured(1) is not None
    assert models.measured(2) is not None
    newest = next(entry for entry in participation.snapshot().rounds if entry.outcome is Outcome.JOINED)
    assert newest.accuracy == models.measured(2).top1  # type: ignore[union-attr]


def test_the_servers_way_back_is_followed_and_the_owners_stands(
    site: Site, participation: Participation, others: list[HttpPhone], owner: Owner
) -> None:
    run(site, participation, others, lambda: bool(owner.used))
    owner.new, owner.held_out = 0, ()
    participation._models.of("model").use(2)
    site.installation.models.promote(1)
    run(site, participation, others, lambda: owner.used == [2, 1])
    participation._models.of("model").use(2)  # the owner's choice
    ends = site.clock.now + 600
    run(site, participation, [], lambda: site.clock.now > ends)
    assert owner.used == [2, 1]


def test_a_clearly_worse_model_waits_for_its_owner(
    site: Site,
    participation: Participation,
    others: list[HttpPhone],
    owner: Owner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good, bad = Measured(0.5, 0.6, 70), Measured(0.1, 0.2, 70)
    verdict = Verdict(good, bad, clearly_worse=True)
    monkeypatch.setattr(long_work, "compare_models", lambda *_: verdict)
    run(site, participation, others, lambda: participation._models.of("model").measured(2) == bad)
    participation.step()
    assert owner.used == []
    assert participation._models.of("model").in_use == 1


def test_a_model_that_is_far_worse_on_the_owners_text_is_never_trained_on_or_shown(
    site: Site, participation: Participation, others: list[HttpPhone], owner: Owner
) -> None:
    """An operator's own model, signed and in the log, whose distance no profile bounds."""
    models = site.installation.models
    first = models.state(1)
    noise = np.random.default_rng(1).normal(0, 1, first.weights.size).astype(np.float32)
    with site.installation.database.write() as session:
        stored = models.store(ServerState(first.weights + noise, first.slots))
        passed = GateVerdict(passed=True, metrics={})
        models.insert(session, stored, parent=1, verdict=passed, round_id=None, now=site.clock())
    run(site, participation, others, lambda: bool(participation.snapshot().rounds))
    entry = participation.snapshot().rounds[0]
    assert entry.outcome is Outcome.REFUSED
    assert "on your own text" in entry.reason.lower()
    assert "% more than the one that the app came with" in entry.reason
    assert owner.used == []
    assert owner.trained == 0
    assert participation._opened().model() is None  # nothing that could be trained on or shown
    reported = [seen.body for seen in site.wire.seen if seen.path.endswith("/events")]
    assert reported
    assert not any(b"text" in body for body in reported)  # the server learns that it was refused, not of whose words


def test_a_comparison_that_is_broken_off_is_taken_up_again(
    site: Site, participation: Participation, others: list[HttpPhone], owner: Owner
) -> None:
    asked = 0

    def broken_off(*arguments: Any) -> object:
        nonlocal asked
        if arguments[1] is long_work.loss_rise:
            asked += 1
            if asked == 1:
                raise child_processes.InterruptedWorkError("the phone is in use again")
        return here(*arguments)

    participation._run = broken_off
    run(site, participation, others, lambda: bool(owner.used))
    assert asked == 3  # of the first model twice, of the second once


def test_the_owners_rounds_a_week_hold_at_once(
    site: Site, participation: Participation, others: list[HttpPhone], owner: Owner
) -> None:
    run(site, participation, others, lambda: joined(participation))
    owner.settings, owner.new = replace(owner.settings, max_rounds_per_week=1), 4
    site.clock.now += SETTINGS.separation_seconds
    rounds = len(participation.snapshot().rounds)
    run(site, participation, others, lambda: len(participation.snapshot().rounds) > rounds)
    assert participation.snapshot().rounds[0].reason.startswith("1 rounds a week are enough")


def test_with_too_little_new_text_the_phone_trains_not_but_gets_the_model(
    site: Site, participation: Participation, others: list[HttpPhone], owner: Owner, tmp_path: Path
) -> None:
    owner.new = 2
    others.append(HttpPhone(site, tmp_path, 2, policy=others[0].policy))
    run(site, participation, others, lambda: bool(owner.used))
    assert owner.trained == 0
    assert participation.snapshot().rounds == ()
    assert participation.snapshot().activity == "Waiting: too little new text to train on"


def test_the_phone_in_use_joins_no_round(
    site: Site, participation: Participation, others: list[HttpPhone], owner: Owner, tmp_path: Path
) -> None:
    owner.device.conditions = replace(READY, idle=False)
    others.append(HttpPhone(site, tmp_path, 2, policy=others[0].policy))
    run(site, participation, others, lambda: len(site.installation.models.versions()) == 2)
    assert owner.trained == 0


def test_training_that_is_broken_off_leaves_the_round_and_says_why(
    site: Site,
    participation: Participation,
    others: list[HttpPhone],
    owner: Owner,
) -> None:
    def in_use(should_stop: Callable[[], bool], work: object, *_: object) -> float:
        assert not should_stop()
        if work is long_work.loss_rise:
            return 0.0
        owner.device.conditions = Conditions()
        assert should_stop()
        raise child_processes.InterruptedWorkError("the phone is in use again")

    participation._run = in_use
    run(site, participation, others, lambda: any("in use" in entry.reason for entry in participation.snapshot().rounds))
    (entry,) = participation.snapshot().rounds
    assert entry.outcome is Outcome.DROPPED
    assert owner.trained == 0


def test_withdrawing_leaves_the_round_at_once(
    site: Site, participation: Participation, others: list[HttpPhone], owner: Owner, network: Network
) -> None:
    run(site, participation, others, lambda: bool(participation.snapshot().rounds))
    owner.settings = replace(owner.settings, consent=False)
    participation.step()
    (entry,) = participation.snapshot().rounds
    assert (entry.outcome, entry.reason) == (Outcome.DROPPED, "The owner left.")
    sent = len(network.bodies)
    participation.step()
    assert len(network.bodies) == sent
    assert owner.trained == 0


def test_a_round_beyond_the_budget_is_refused(
    site: Site, participation: Participation, others: list[HttpPhone], owner: Owner
) -> None:
    """Without noise a round has no finite epsilon: any limit refuses it."""
    owner.settings = replace(owner.settings, epsilon_limit=4.0)
    run(site, participation, others, lambda: bool(participation.snapshot().rounds))
    snapshot = participation.snapshot()
    assert snapshot.rounds[0].outcome is Outcome.REFUSED
    assert snapshot.rounds[0].reason == "The privacy budget is spent."
    assert (snapshot.budget.spent, snapshot.budget.limit, snapshot.budget.participations) == (0.0, 4.0, 0)


def test_the_owner_reads_which_profile_holds_and_what_it_does_not_cover(
    network: Network, site: Site, owner: Owner, exported: Export
) -> None:
    """Of each of the two; and an app that brings no keys says that it takes none from a server."""
    for profile in PROFILES.values():
        site.trust(profile)
        told = replaced(network, site, owner, exported, site.folder.parent / "trust.json").snapshot().trust
        assert told == f"{profile.name.capitalize()}. {profile.says}"
    (site.folder.parent / "trust.json").unlink()
    told = replaced(network, site, owner, exported, site.folder.parent / "trust.json").snapshot().trust
    assert "takes none from a server" in told


def test_a_round_of_too_few_is_refused(
    site: Site, participation: Participation, others: list[HttpPhone], owner: Owner
) -> None:
    owner.settings = replace(owner.settings, min_phones=50)
    run(site, participation, others, lambda: bool(participation.snapshot().rounds))
    assert participation.snapshot().rounds[0].reason.startswith("A sum of 3 phones is too small")


def test_a_server_that_is_away_is_waited_for(site: Site, participation: Participation, others: list[HttpPhone]) -> None:
    site.wire.lose_request = lambda _: True
    assert participation.step() > 0
    assert participation.snapshot().activity.startswith("Waiting: ")
    site.wire.lose_request = lambda _: False
    run(site, participation, others, lambda: joined(participation))
    assert participation.snapshot().problem == ""


def test_a_server_with_other_keys_is_not_talked_to(
    site: Site, participation: Participation, owner: Owner, network: Network, exported: Export
) -> None:
    participation.step()
    (site.folder / "server.key").write_bytes(bytes(range(32)))
    site.restart()
    participation.end()
    again = started(network, site, owner, exported)
    again.step()
    assert "other keys" in again.snapshot().problem
    assert again.snapshot().activity == "Stopped"


def test_rounds_and_models_outlive_the_app(
    site: Site,
    participation: Participation,
    others: list[HttpPhone],
    owner: Owner,
    network: Network,
    exported: Export,
) -> None:
    run(site, participation, others, lambda: bool(owner.used))
    before = participation.snapshot().rounds
    participation.end()
    again = started(network, site, owner, exported)
    again.step()
    assert [entry.round_id for entry in again.snapshot().rounds] == [entry.round_id for entry in before]
    np.testing.assert_array_equal(again.snapshot().rounds[-1].update, before[-1].update)
    assert owner.used == [2]
    assert network.paths.count("/v1/enrol") == 1


def test_deleting_makes_a_new_device(
    site: Site, participation: Participation, others: list[HttpPhone], owner: Owner, network: Network
) -> None:
    run(site, participation, others, lambda: joined(participation))
    old = (owner.folder / "device" / "identity.key").read_bytes()
    owner.vault.wipe()
    participation.delete()
    assert not (owner.folder / "device").exists()
    assert participation.snapshot().rounds == ()
    participation.step()
    assert (owner.folder / "device" / "identity.key").read_bytes() != old
    assert network.paths.count("/v1/enrol") == 2


@pytest.mark.parametrize("limit", [0.0, 0.5, 4.0, 16.0])
def test_a_limit_in_epsilon_is_one_in_rho(limit: float) -> None:
    assert epsilon(rho(limit)) == pytest.approx(limit)
    assert epsilon(math.inf) == rho(math.inf) == math.inf
