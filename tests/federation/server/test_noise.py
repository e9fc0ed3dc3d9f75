"""The server's noise in its database: it goes on after a kill, and begins anew where it could not go on as it was."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sql

from federation.errors import ConfigError
from federation.privacy.central import NoiseStream
from federation.privacy.toeplitz import Buffers
from federation.protocol.central_noise import CentralNoise
from federation.server import noise as server_noise
from federation.server.coordinator.lease import LEASE_SECONDS
from federation.server.errors import UnknownError
from federation.server.models import Verdict
from federation.server.noise import RESTORED, buffers_of, renew
from federation.server.privacy_report import COPY_ASSUMED, spent
from federation.server.settings import RoundSettings
from federation.server.tables import NoiseStreamRow, RoundRow
from federation.updates.update import Tally
from federation.updates.weighted_sum import LevelSum
from tests.federation.server.phones import SERVER_KEY, Clock, Phone, Server, gather, take_all_steps

BLT = CentralNoise(mechanism="blt", noise_multiplier=2.0, rounds=40, max_participations=4, min_separation=8)
SETTINGS = RoundSettings(goal=6, minimum=4, over_selection=1.5, clip=2.0, weight_cap=1, central=BLT)
Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path, clock: Clock) -> Iterator[Serve]:
    """Starts a server in a folder below, and again over what is there."""
    started: list[Server] = []

    def start(name: str = "one", settings: RoundSettings = SETTINGS, **options: Any) -> Server:
        (tmp_path / name).mkdir(exist_ok=True)
        started.append(Server(tmp_path / name, clock, settings, **options))
        return started[-1]

    yield start
    for server in started:
        server.database.close()


@pytest.fixture
def phones() -> list[Phone]:
    return [Phone(name) for name in range(6)]


def one_round(server: Server, clock: Clock, phones: list[Phone]) -> int:
    clock.now += 7200
    round_id = gather(server, clock, phones)
    take_all_steps(server, round_id, phones)
    return round_id


def streams(server: Server) -> list[tuple[int, int, str]]:
    with server.database.read() as session:
        rows = session.scalars(sql.select(NoiseStreamRow).order_by(NoiseStreamRow.id))
        return [(row.id, row.rounds, row.reason) for row in rows]


def times(server: Server) -> list[tuple[int | None, int | None]]:
    with server.database.read() as session:
        rows = session.scalars(sql.select(RoundRow).order_by(RoundRow.round_id))
        return [(row.noise_stream, row.noise_time) for row in rows]


def noise(server: Server, phones: list[Phone], new: int, old: int) -> np.ndarray:
    """What was added to the mean of the phones' deltas, which all count alike."""
    mean = np.mean([phone.update.delta for phone in phones], axis=0)
    added: np.ndarray = server.models.state(new).weights - server.models.state(old).weights - mean
    return added


def test_noise_goes_on_from_round_to_round_and_over_a_restart(serve: Serve, clock: Clock, phones: list[Phone]) -> None:
    server = serve()
    one_round(server, clock, phones)
    one_round(serve(), clock, phones)
    assert streams(server) == [(1, 2, "there was none")]
    assert times(server) == [(1, 0), (1, 1)]
    with server.database.read() as session:
        row = session.get_one(NoiseStreamRow, 1)
        assert row.secret not in (SERVER_KEY.private_bytes_raw(), bytes(32))
        assert np.frombuffer(row.held).std() > 0.3


def test_a_finish_that_is_killed_and_taken_again_adds_the_same_noise(
    serve: Serve, clock: Clock, phones: list[Phone], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, seen = serve(), []
    original = server_noise.noised

    def watched(*arguments: Any) -> Any:
        seen.append(original(*arguments))
        return seen[-1]

    monkeypatch.setattr(server_noise, "noised", watched)
    monkeypatch.setattr(server.models, "insert", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        one_round(server, clock, phones)
    assert times(server) == [(1, None)]
    clock.now += LEASE_SECONDS + 1
    again = serve()
    again.coordinator.tick()
    clock.now += LEASE_SECONDS + 1
    assert again.coordinator.tick()
    assert times(again) == [(1, 0)]
    assert len(seen) == 2
    np.testing.assert_array_equal(seen[0][0].delta, seen[1][0].delta)


def test_noise_follows_time_whatever_the_gate_refuses_and_whoever_goes_back(
    serve: Serve, clock: Clock, phones: list[Phone]
) -> None:
    verdicts = iter([True, False, True, True, True])
    server = serve(gate=lambda new, old: Verdict(passed=next(verdicts), metrics={}))  # noqa: ARG005
    for number in range(5):
        one_round(server, clock, phones)
        if number == 2:
            server.models.promote(1)
    assert [server.models.version(number).parent for number in range(2, 7)] == [1, 2, 2, 1, 5]
    assert streams(server) == [(1, 5, "there was none")]
    assert times(server) == [(1, time) for time in range(5)]
    account = spent(server.database, 1e-6).account
    assert account.rho == pytest.approx(buffers_of(BLT).squared_sensitivity(range(5), 5) / (2 * 2.0**2))


def test_two_servers_of_one_key_have_noise_of_their_own(serve: Serve, clock: Clock, phones: list[Phone]) -> None:
    servers = [serve(name) for name in ("one", "two")]
    for server in servers:
        one_round(server, clock, phones)
    added = [noise(server, phones, 2, 1) for server in servers]
    assert abs(np.corrcoef(*added)[0, 1]) < 0.4
    assert min(each.std() for each in added) > 0.1


@pytest.mark.parametrize("during", [False, True], ids=["between rounds", "in the middle of one"])
def test_a_database_that_was_put_back_begins_noise_of_its_own(
    serve: Serve, clock: Clock, phones: list[Phone], tmp_path: Path, during: bool
) -> None:
    """Else anyone who saw both models of a round would know the difference of two sums without noise."""
    server = serve()
    one_round(server, clock, phones)
    clock.now += 7200
    if during:
        round_id = gather(server, clock, phones)
        server.database.close()
    shutil.copytree(tmp_path / "one", tmp_path / "copy")
    if during:
        take_all_steps(server, round_id, phones)
    else:
        one_round(server, clock, phones)
    lost = noise(server, phones, 3, 2)
    server.database.close()
    for file in (tmp_path / "one").glob("server.sqlite*"):
        file.unlink()
    for file in (tmp_path / "copy").glob("server.sqlite*"):
        shutil.copy(file, tmp_path / "one" / file.name)
    restored = serve()
    again = [Phone(name) for name in range(6)]
    if during:
        assert not restored.coordinator.tick()  # another held the lease
        clock.now += LEASE_SECONDS + 1
        take_all_steps(restored, round_id, again)
    else:
        one_round(restored, clock, again)
    assert streams(restored)[0][1:] == (1, "there was none")
    assert streams(restored)[-1][1:] == (1, RESTORED)
    assert times(restored) == [(1, 0), (2, 0)]
    assert abs(np.corrcoef(lost, noise(restored, phones, 3, 2))[0, 1]) < 0.4
    account = spent(restored.database, 1e-6).account
    assert COPY_ASSUMED in account.assumptions
    assert account.rho == pytest.approx(2 / (2 * 2.0**2))
    one_round(restored, clock, [Phone(name) for name in range(6)])
    assert streams(restored)[-1][1] == 2  # and then it goes on


def test_other_settings_begin_another_stream_and_more_or_less_noise_does_not(
    serve: Serve, clock: Clock, phones: list[Phone]
) -> None:
    for central in (BLT, replace(BLT, noise_multiplier=3.0), replace(BLT, min_separation=5)):
        one_round(serve(settings=replace(SETTINGS, central=central)), clock, phones)
    server = serve()
    assert [each[:2] for each in streams(server)] == [(1, 2), (2, 1)]
    account = spent(server.database, 1e-6).account
    first = buffers_of(BLT).squared_sensitivity([0, 1], 2) / (2 * 2.0**2)  # at the weaker of both
    assert account.rho == pytest.approx(first + 1 / (2 * 2.0**2))


def test_a_round_that_is_abandoned_costs_nothing_and_leaves_no_gap(
    serve: Serve, clock: Clock, phones: list[Phone]
) -> None:
    server = serve()
    one_round(server, clock, phones)
    clock.now += 7200
    gather(server, clock, phones)
    clock.now += 10_000
    assert server.coordinator.tick()  # nobody advertised keys
    one_round(server, clock, phones)
    assert times(server) == [(1, 0), (1, None), (1, 1)]


def test_noise_is_renewed_by_hand(serve: Serve, clock: Clock, phones: list[Phone]) -> None:
    server = serve()
    with server.database.write() as session, pytest.raises(UnknownError, match="not added noise yet"):
        renew(session)
    one_round(server, clock, phones)
    with server.database.write() as session:
        assert renew(session) == 2
    one_round(server, clock, phones)
    assert times(server) == [(1, 0), (2, 0)]


def test_what_an_adapted_clip_follows_is_noised_and_both_cost_what_the_task_says(
    serve: Serve, clock: Clock, phones: list[Phone]
) -> None:
    central = CentralNoise(mechanism="gaussian", noise_multiplier=0.3)
    server = serve(settings=replace(SETTINGS, central=central, adaptive_quantile=0.55))  # which no count of six is
    one_round(server, clock, phones)
    plan, levels = phones[0].plan, np.zeros(phones[0].plan.codec.coordinates, np.int64)
    assert server.models.version(2).metrics["next_clip"] != plan.clip
    found: dict[int, list[float]] = {0: [], 6: []}
    unclipped = set()
    for adapted_to, drawn in found.items():
        for _ in range(40):
            stream = NoiseStream.begin(Buffers(), plan.dimension)
            total, _ = server_noise.noised(
                LevelSum(levels, Tally(6, unclipped=3), 6), plan, central, stream, adapted_to
            )
            drawn.append(float(np.var(total.delta)))
            unclipped.add((adapted_to, total.tally.unclipped))
    assert {count for adapted, count in unclipped if not adapted} == {3}
    assert {count for adapted, count in unclipped if adapted} > {3}
    # z of the sum and z of the count, 2 * 0.05 * 6, together are that of the task.
    assert np.mean(found[6]) / np.mean(found[0]) == pytest.approx((0.3**-2 - 0.6**-2) ** -1 / 0.3**2, rel=0.1)


def test_an_adapted_clip_needs_a_cohort_that_hides_a_phone() -> None:
    with pytest.raises(ConfigError, match="larger cohort or a fixed clip"):
        replace(SETTINGS, adaptive_quantile=0.5)
