"""Headless phones of a scenario: the same fleet that the simulation's virtual clock has."""

from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from click.testing import CliRunner

from federation.fleet.emulation import Hours, SlowNetwork, SlowTraining
from federation.fleet.enrolled_phones import enrol_at
from federation.fleet.headless import HeadlessPhone, HeadlessSettings, TrainerPool, Typist
from federation.fleet.scenario import Availability, DropOut, PhoneClass, Scenario
from federation.protocol.conditions import Conditions
from federation.protocol.drop_reasons import DropReason
from federation.protocol.steps import STEPS, Step
from federation.protocol.task import ComputeBudget, TrainingTask
from federation.protocol.training_settings import TrainingSettings
from federation.updates.update import Tally, Update
from fedkey.cli import main
from model.engine import TRAINING_BATCH, Export
from tests.federation.server.conftest import TEXT
from tests.federation.server.http import URL, Site
from tests.federation.server.phones import READY, Clock
from tests.federation.server.test_http import SETTINGS

CLASSES = (
    PhoneClass(
        name="old",
        share=0.5,
        device_class="low",
        tokens_per_second=4,
        upload_bytes_per_second=100,
        download_bytes_per_second=1000,
        budget=ComputeBudget(steps=2, seconds=60),
    ),
    PhoneClass(name="new", share=0.5, device_class="high"),
)


def of_class(scenario: Scenario, name: str) -> int:
    """Return the number of the first phone of a class."""
    return next(device.index for device in scenario.devices(1, 100) if device.kind.name == name)


def test_a_slow_network_takes_its_time_for_every_byte() -> None:
    scenario, waits = Scenario(classes=CLASSES), list[float]()
    inner = httpx.MockTransport(lambda request: httpx.Response(200, content=request.content * 2))
    network = SlowNetwork(inner, scenario.device(1, of_class(scenario, "old")), waits.append)
    with httpx.Client(transport=network, base_url=URL) as client:
        assert client.post("/", content=b"x" * 250).content == b"x" * 500
    assert waits == [2.5, 0.5]


def test_a_phone_comes_in_the_hours_of_its_scenario_and_days_may_be_short() -> None:
    night = Scenario(availability=Availability(by_hour=(1.0,) * 6 + (0.0,) * 18))
    now = [0.0]
    hours = Hours(night.device(1, 0), day_seconds=240, clock=lambda: now[0])
    there = []
    for now[0] in range(0, 240, 10):
        there.append(hours() == READY)
        assert hours() in {READY, Conditions()}
    assert there == [True] * 6 + [False] * 18


def test_training_takes_as_long_as_on_the_device() -> None:
    scenario, waits, now = Scenario(classes=CLASSES), list[float](), iter([100.0, 103.0])
    device = scenario.device(1, of_class(scenario, "old"))
    update = Update(np.zeros(3, np.float32), Tally(2, 40, 1.0, 1))
    train = SlowTraining(lambda *_: update, device, waits.append, lambda: next(now))
    assert train(b"", None) is update  # type: ignore[arg-type]
    assert waits == [40 / 4 - 3]


@pytest.fixture
def site(tmp_path: Path, exported: Path) -> Site:
    return Site(tmp_path, exported, Clock(), SETTINGS)


def headless(site: Site, folder: Path, scenario: Scenario, index: int) -> HeadlessPhone:
    export: Export = site.installation.export
    return HeadlessPhone(
        folder,
        URL,
        enrol=lambda store: enrol_at(site.authority, store),
        typist=Typist(TEXT * 40, at_first=200, a_round=1),
        pool=TrainerPool(export),
        anchors=site.anchors(),
        settings=HeadlessSettings(scenario=scenario),
        seed=1,
        index=index,
        transport=site.wire,
        clock=site.clock,
    )


def live(site: Site, phones: list[HeadlessPhone], seconds: float = 400) -> None:
    ends = site.clock.now + seconds
    while site.clock.now < ends:
        for phone in phones:
            phone.step()
        while site.coordinator.tick():
            pass
        site.clock.now += 1


@pytest.mark.parametrize("step", STEPS)
def test_phones_vanish_in_the_step_that_the_scenario_says(site: Site, tmp_path: Path, step: Step) -> None:
    scenario = replace(HeadlessSettings().scenario, drop_out=DropOut(**{step: 0.2}))
    devices = [scenario.device(1, index) for index in range(30)]
    lost = next(device.index for device in devices if device.drops_out(1, step))
    stay = [device.index for device in devices if not device.drops_out(1, step)][:5]
    phones = [headless(site, tmp_path / str(index), scenario, index) for index in [lost, *stay]]
    live(site, phones)
    sent = {seen.path for seen in site.wire.seen if seen.method == "POST" and seen.path.startswith("/v1/rounds/1/")}
    assert f"/v1/rounds/1/{step}" in sent
    killed, *others = ([record.reason for record in phone.store.rounds() if record.round_id == 1] for phone in phones)
    # Anyone who had not sent its keys is let in again, and refuses: it joins no round twice.
    assert killed == [DropReason.RESTARTED]
    for reasons in others:
        assert reasons == [DropReason.NONE]
    shared = site.story.split("round 2")[0].count("shared")
    assert shared == (5 if step in {"advertise", "share"} else 6)


def test_an_old_phone_trains_as_much_as_it_can(site: Site, tmp_path: Path) -> None:
    scenario = Scenario(classes=CLASSES)
    task = TrainingTask(
        nonce=bytes(32),
        model_version=1,
        training=TrainingSettings(learning_rate=0.1, epochs=1, gradient_norm=1.0, dropout=0.0),
        budgets=SETTINGS.budgets,
        needed=READY,
        separation_seconds=0,
    )
    examples = {}
    for name in ("old", "new"):
        phone = headless(site, tmp_path / name, scenario, of_class(scenario, name))
        phone.stop()  # nothing sleeps any more
        weights = site.installation.models.weights(site.installation.models.version(1).sha256)
        examples[name] = phone._train(weights, task).tally.examples
    # 60 s at 4 tokens a second are one and a half batches of full rows.
    assert examples["old"] == TRAINING_BATCH < examples["new"]


def test_a_scenario_and_flaky_phones_exclude_each_other(tmp_path: Path) -> None:
    file = tmp_path / "scenario.toml"
    file.write_text('[[classes]]\nname = "phone"\nshare = 1.0\n')
    told = CliRunner().invoke(main, ["phones", "--scenario", str(file), "--flaky", "0.1"])
    assert told.exit_code == 2
    assert "leave --flaky out" in told.output
    file.write_text('[[classes]]\nname = "phone"\nshare = 0.5\n')
    told = CliRunner().invoke(main, ["phones", "--scenario", str(file)])
    assert told.exit_code == 1
    assert "the shares of all classes add up to 1, not 0.5" in told.output
