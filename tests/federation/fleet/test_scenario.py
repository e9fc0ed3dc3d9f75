from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from federation.errors import ConfigError
from federation.fleet.scenario import Availability, Clients, DropOut, PhoneClass, Rounds, Scenario
from federation.protocol.message_sizes import Traffic
from federation.protocol.steps import STEPS
from federation.protocol.task import ComputeBudget

FLEET = 4000

TEXT = """
weighting = "uniform"

[rounds]
meeting_seconds = 5
minimum = 5
over_selection = 1.5

[rounds.deadlines]
advertise_seconds = 10
share_seconds = 20
upload_seconds = 30
confirm_seconds = 40
unmask_seconds = 50

[clients]
split = "dirichlet"
concentration = 0.2

[availability]
by_hour = [1, 1, 1, 1, 1, 1, 0.5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.25, 0.5, 0.75]

[drop_out]
upload = 0.2
confirm = 0.05

[[classes]]
name = "slow"
share = 0.3
device_class = "low"
tokens_per_second = 100
upload_bytes_per_second = 1000
download_bytes_per_second = 10_000
budget = { steps = 5, seconds = 60 }

[[classes]]
name = "fast"
share = 0.7
device_class = "high"
"""


def from_text(tmp_path: Path, text: str) -> Scenario:
    path = tmp_path / "scenario.toml"
    path.write_text(text)
    return Scenario.from_toml(path)


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    return from_text(tmp_path, TEXT)


def test_a_file_is_read(scenario: Scenario) -> None:
    assert (scenario.weighting, scenario.rounds.minimum, scenario.rounds.over_selection) == ("uniform", 5, 1.5)
    assert scenario.rounds.max_phones(10) == 30  # three times as many, however many drop out
    assert scenario.rounds.deadlines.unmask_seconds == 50
    assert (scenario.clients.split, scenario.clients.concentration) == ("dirichlet", 0.2)
    assert (scenario.drop_out.at("upload"), scenario.drop_out.at("share")) == (0.2, 0.0)
    slow, fast = scenario.classes
    assert slow == PhoneClass(
        name="slow",
        share=0.3,
        device_class="low",
        budget=ComputeBudget(steps=5, seconds=60),
        tokens_per_second=100.0,
        upload_bytes_per_second=1000.0,
        download_bytes_per_second=10_000.0,
    )
    assert fast.budget == ComputeBudget(steps=400, seconds=120)


def test_the_documents_example_and_the_benchmarks_fleet_can_be_read(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    example = (root / "docs" / "scenarios.md").read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    assert [each.name for each in from_text(tmp_path, example).classes] == ["entry", "new"]
    assert len(Scenario.from_toml(root / "benchmarks" / "heterogeneity.toml").classes) == 4


def test_an_empty_file_is_a_fleet_in_which_nothing_fails(tmp_path: Path) -> None:
    scenario = from_text(tmp_path, "")
    assert scenario == Scenario()
    device = scenario.device(1, 7)
    assert all(device.available(hour * 3600.0) for hour in range(48))
    assert not any(device.drops_out(number, step) for number in range(50) for step in STEPS)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('weighting = "uniform"', 'weighting = "loud"', "weighting must be one of examples, uniform, not 'loud'"),
        ('weighting = "uniform"', "wait = 3", "unknown setting 'wait'; known are weighting, classes"),
        ("share = 0.3", "share = 0.4", "the shares of all classes add up to 1, not 1.1"),
        ("share = 0.3", "share = 0", "classes 1: class 'slow': share must be above 0"),
        ("share = 0.3", 'share = "much"', "classes 1: share must be a number, not 'much'"),
        ('name = "slow"', "", "classes 1: name is missing"),
        ('name = "slow"', 'name = "fast"', "names of their own"),
        ("tokens_per_second = 100", "tokens_per_second = 0", "tokens_per_second must be above 0 and finite"),
        ('device_class = "low"', 'device_class = "tiny"', "one of low, middle, high"),
        ("steps = 5", "steps = 0", "budget: steps must be at least 1"),
        ("steps = 5, ", "", "budget: steps is missing"),
        ("[1, 1, 1,", "[1, 1,", "24 shares"),
        ("[1, 1, 1,", "[1, 2, 1,", "24 shares"),
        ("[1, 1, 1,", "[1, true, 1,", "by_hour 2 must be a number"),
        ("upload = 0.2", "upload = 1.2", "drop_out: upload must be at least 0 and at most 1"),
        ("upload = 0.2", "download = 0.2", "unknown setting 'download'"),
        ("minimum = 5", "minimum = 2", "minimum must be at least 3 and at most 256"),
        ("over_selection = 1.5", "over_selection = 0.9", "over_selection must be at least 1"),
        ("share_seconds = 20", "share_seconds = 10", "steps close one after the other"),
        ("meeting_seconds = 5", "meeting_seconds = 10", "below deadlines.advertise_seconds"),
        ("minimum = 5", "grace_seconds = -1", "grace_seconds must be at least 0"),
        ("concentration = 0.2", "concentration = 0", "concentration must be above 0"),
        ("[rounds]", "[rounds", "scenario.toml"),
        ("[drop_out]", "[[drop_out]]", "drop_out must be a table"),
        ("[availability]\nby_hour =", "[availability]\nby_hour = 3 #", "by_hour must be a list"),
    ],
)
def test_what_a_file_cannot_mean_is_refused_in_one_sentence(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    assert before in TEXT
    with pytest.raises(ConfigError, match=r"scenario\.toml") as caught:
        from_text(tmp_path, TEXT.replace(before, after, 1))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        Scenario.from_toml(tmp_path / "nowhere.toml")


def test_a_phone_is_the_same_whenever_it_is_asked_for(scenario: Scenario) -> None:
    first, again = (list(scenario.devices(3, 50)) for _ in range(2))
    assert first == again
    assert first[17] == scenario.device(3, 17)
    other = list(scenario.devices(4, 50))
    assert [one.kind for one in first] != [one.kind for one in other]


def test_classes_have_their_shares(scenario: Scenario) -> None:
    slow = np.mean([device.kind.name == "slow" for device in scenario.devices(1, FLEET)])
    assert slow == pytest.approx(0.3, abs=0.03)


def test_phones_are_available_by_the_time_of_day(scenario: Scenario) -> None:
    devices = list(scenario.devices(1, FLEET))
    for day in (0, 5):
        for hour, share in ((0, 1.0), (6, 0.5), (12, 0.0), (21, 0.25), (23, 0.75)):
            there = np.mean([device.available((24 * day + hour) * 3600 + 1800.0) for device in devices])
            assert there == pytest.approx(share, abs=0.03)


def test_a_phone_comes_once_in_an_evening(scenario: Scenario) -> None:
    for device in scenario.devices(1, 200):
        hours = [device.available(hour * 3600.0) for hour in range(12, 24)]
        assert hours == sorted(hours)


def test_days_differ_for_a_phone(scenario: Scenario) -> None:
    device = scenario.device(1, 0)
    assert len({device.available((24 * day + 22) * 3600.0) for day in range(20)}) == 2


def test_phones_drop_out_as_often_as_said_and_not_together(scenario: Scenario) -> None:
    devices = list(scenario.devices(1, 200))
    upload = np.array([[device.drops_out(number, "upload") for device in devices] for number in range(40)])
    confirm = np.array([[device.drops_out(number, "confirm") for device in devices] for number in range(40)])
    assert upload.mean() == pytest.approx(0.2, abs=0.02)
    assert confirm.mean() == pytest.approx(0.05, abs=0.015)
    assert 0 < upload.mean(axis=0).max() < 1
    assert (upload & confirm).mean() == pytest.approx(0.01, abs=0.007)


def test_a_phone_takes_its_time_within_its_budget(scenario: Scenario) -> None:
    slow = next(device for device in scenario.devices(1, 50) if device.kind.name == "slow")
    assert slow.budget == ComputeBudget(steps=5, seconds=60)
    assert slow.train_seconds(300) == 3.0
    assert slow.train_seconds(1_000_000) == 60.0
    assert slow.transfer_seconds(Traffic(500, 20_000)) == 2.5
    assert slow.steps(batches=3, tokens=480) == 3
    assert slow.steps(batches=80, tokens=12_800) == 5  # as many as its budget has
    assert slow.steps(batches=4, tokens=12_000) == 2  # of which two are 60 seconds
    assert slow.steps(batches=1, tokens=1_000_000) == 1
    assert slow.steps(batches=2, tokens=0) == 2


def test_parts_made_in_code_are_checked_as_well() -> None:
    for make in (
        lambda: Availability(by_hour=(0.5,)),
        lambda: DropOut(share=-0.1),
        lambda: Rounds(minimum=2),
        lambda: Clients(concentration=float("inf")),
        lambda: replace(Scenario(), classes=()),
    ):
        with pytest.raises((ConfigError, ValueError), match=r"must be|has|add up"):
            make()
