"""An audit finds each way in which log, models and account may not hold, and nothing on an honest server."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sql
from sqlalchemy.orm import Session

from federation.audit import Bounds, Report, SeenLog, audit
from federation.protocol.log import Edge, LogEntry, unpack
from federation.protocol.plan import PLAN_BYTES, Mechanism, Privacy
from federation.protocol.steps import Step
from federation.rounds.server_optimizers import Adagrad, Adam, ServerOptimizer, ServerState, SgdMomentum, Yogi
from federation.server.errors import UnknownError
from federation.server.models import Verdict
from federation.server.retention import Retention
from federation.server.settings import RetentionSettings, RoundSettings
from federation.server.tables import InstanceRow, LogRow, MessageRow, ModelRow
from federation.updates.weighted_sum import WeightedSum
from tests.federation.server.phones import DIMENSION, SERVER_KEY, Clock, Phone, Server, gather, take_all_steps

KEY = SERVER_KEY.public_key().public_bytes_raw()
SETTINGS = RoundSettings(goal=5, minimum=5, over_selection=1.0, clip=2.0, weight_cap=1, separation_seconds=0)
NOISED = replace(SETTINGS, privacy=Privacy(Mechanism.SKELLAM, 0.5))
OPTIMIZERS = [SgdMomentum(momentum=0.0), SgdMomentum(), Adam(), Yogi(), Adagrad()]


class InProcess:
    """A server as what is audited."""

    def __init__(self, server: Server) -> None:
        self.where, self._server = "server", server

    def head(self) -> bytes:
        return self._server.models.log_head()

    def entries(self, first: int) -> list[bytes]:
        return unpack(self._server.models.log(first))

    def round(self, round_id: int) -> bytes | None:
        return _known(lambda: self._server.rounds.plan(round_id))

    def weights(self, sha256: str) -> bytes | None:
        return _known(lambda: self._server.models.weights(sha256))

    def mean(self, sha256: str) -> bytes | None:
        return _known(lambda: self._server.models.mean(sha256))

    def state(self, sha256: str) -> bytes | None:
        return _known(lambda: self._server.models.optimizer_state(sha256))


def _known(read: Callable[[], bytes]) -> bytes | None:
    try:
        return read()
    except UnknownError:
        return None


def served(folder: Path, clock: Clock, settings: RoundSettings, optimizer: ServerOptimizer, rounds: int = 3) -> Server:
    """Return a server after some rounds."""
    folder.mkdir(exist_ok=True)
    server = Server(folder, clock, settings, finalizer=optimizer)
    phones = [Phone(name) for name in range(5)]
    for _ in range(rounds):
        take_all_steps(server, gather(server, clock, phones), phones)
    return server


@pytest.fixture
def server(tmp_path: Path, clock: Clock) -> Server:
    return served(tmp_path / "server", clock, NOISED, SgdMomentum(momentum=0.5))


def audited(server: Server, *seen: SeenLog, **bounds: float) -> Report:
    return audit(InProcess(server), KEY, seen=seen, bounds=Bounds(**bounds))[0]  # type: ignore[arg-type]


def checks(report: Report) -> set[tuple[str, str]]:
    return {(finding.check, finding.where) for finding in report.findings}


@contextmanager
def rewriting(server: Server) -> Iterator[tuple[Session, list[bytes]]]:
    """Give the log's entries, and put what became of them in their place."""
    with server.database.write() as session:
        entries = list(session.scalars(sql.select(LogRow.entry).order_by(LogRow.id)))
        yield session, entries
        session.execute(sql.delete(LogRow))
        session.add_all(LogRow(id=number, entry=entry) for number, entry in enumerate(entries))


def changed(entry: bytes, **values: object) -> bytes:
    return replace(LogEntry.from_bytes(entry), **values).to_bytes()  # type: ignore[arg-type]


def head_of(server: Server, size: int) -> SeenLog:
    """Return what a phone kept of the log."""
    with server.database.read() as session:
        instance = session.get_one(InstanceRow, 1).value
    root = Edge.of(unpack(server.models.log(0))[:size]).root
    return SeenLog("a phone", instance, size, root, frozenset({1}))


@pytest.mark.parametrize("settings", [SETTINGS, NOISED], ids=["plain", "noised"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda each: f"{each.settings.name} {each.settings.momentum:g}")
def test_nothing_is_found_in_an_honest_servers(
    tmp_path: Path, clock: Clock, optimizer: ServerOptimizer, settings: RoundSettings
) -> None:
    server = served(tmp_path / "server", clock, settings, optimizer, rounds=2)
    report = audited(server, head_of(server, 2), head_of(server, 3))
    assert report.findings == []
    assert (report.models, report.recomputed, report.rounds, report.uploads) == (3, 2, 2, 10)
    assert report.cost.unnoised == (2 if settings is SETTINGS else 0)
    moved = server.models.state(3).weights - server.models.state(2).weights
    assert report.max_step >= np.linalg.norm(moved) * 0.999


def test_a_rejected_model_and_a_way_back_are_as_good_as_others(tmp_path: Path, clock: Clock) -> None:
    server = served(tmp_path / "server", clock, SETTINGS, SgdMomentum(), rounds=1)
    gates = iter([False, True])
    server = Server(
        tmp_path / "server", clock, SETTINGS, finalizer=SgdMomentum(), gate=lambda *_: Verdict(next(gates), {})
    )
    phones = [Phone(name) for name in range(5)]
    take_all_steps(server, gather(server, clock, phones), phones)
    server.models.promote(1)
    take_all_steps(server, gather(server, clock, phones), phones)
    report = audited(server)
    assert report.findings == []
    assert report.recomputed == 3


def test_a_model_that_is_not_the_result_of_its_round_is_found(server: Server) -> None:
    with rewriting(server) as (session, entries):
        trapped = server.models.state(4)
        trapped = ServerState(trapped.weights + np.float32(0.01), trapped.slots)
        stored = server.models.store(trapped)
        session.execute(
            sql.update(ModelRow).where(ModelRow.version == 4).values(sha256=stored.sha256, weights=stored.weights)
        )
        entries[3] = changed(entries[3], sha256=stored.sha256)
    report = audited(server)
    assert checks(report) == {("model", "model 4")}
    assert "0.173 away" in report.findings[0].message  # 0.01 in each of 300 weights


def test_an_optimizer_that_did_not_begin_from_nothing_is_found(tmp_path: Path, clock: Clock) -> None:
    start = SgdMomentum().initialize(np.zeros(DIMENSION, np.float32))
    hidden = ServerState(start.weights, {"velocity": np.ones(DIMENSION, np.float32)})

    class Hiding(SgdMomentum):
        def initialize(self, weights: object) -> ServerState:  # noqa: ARG002
            return hidden

    report = audited(served(tmp_path / "server", clock, SETTINGS, Hiding(), rounds=1))
    assert ("model", "model 2") in checks(report)
    assert "begin from nothing" in report.findings[0].message


def test_a_rewritten_entry_is_found_by_the_plans_of_later_rounds(server: Server) -> None:
    with rewriting(server) as (_, entries):
        entries[1] = changed(entries[1], uploads=9)
    assert checks(audited(server)) == {("chain", "round 2"), ("chain", "round 3")}


def test_an_entry_that_says_another_noise_than_its_plan_is_found(server: Server) -> None:
    with rewriting(server) as (_, entries):
        entries[3] = changed(entries[3], noise_multiplier=5.0)
    assert checks(audited(server)) == {("entry", "round 3")}


def test_a_forked_view_shown_to_two_phones_is_found(server: Server) -> None:
    mine, yours = head_of(server, 3), replace(head_of(server, 3), where="another phone", root=bytes(32))
    assert checks(audited(server, mine)) == set()
    report = audited(server, mine, yours)
    assert checks(report) == {("view", "another phone")}
    assert "different logs of 3 entries" in report.findings[0].message
    older = replace(yours, size=2)  # the two phones' sizes need not be the same
    assert checks(audited(server, mine, older)) == {("view", "another phone")}


def test_a_log_that_was_cut_or_of_another_instance_is_found(server: Server) -> None:
    longer = replace(head_of(server, 4), size=5)
    assert "cut" in audited(server, longer).findings[0].message
    elsewhere = replace(head_of(server, 4), instance=bytes(16))
    assert "another instance" in audited(server, elsewhere).findings[0].message


def test_a_step_beyond_the_apps_bound_is_found(server: Server) -> None:
    honest = audited(server)
    assert audited(server, max_step=1.01 * honest.max_step, max_drift=1.01 * honest.max_drift).findings == []
    found = checks(audited(server, max_step=0.99 * honest.max_step))
    assert found
    assert {check for check, _ in found} == {"bound"}
    assert checks(audited(server, max_drift=0.99 * honest.max_drift)) == {("bound", "model 4")}


def test_a_mean_that_no_clipped_updates_have_is_found(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WeightedSum, "mean", property(lambda total: total.delta * np.float32(100)))
    server = served(tmp_path / "server", clock, SETTINGS, SgdMomentum(), rounds=1)
    assert checks(audited(server)) == {("bound", "model 2")}


def test_an_account_that_leaves_out_a_round_is_found(server: Server) -> None:
    with server.database.write() as session:
        session.execute(sql.delete(MessageRow).where(MessageRow.round_id == 2, MessageRow.step == Step.UPLOAD))
    server = Server(Path(str(server.database._engine.url.database)).parent, Clock(), NOISED)
    report = audited(server)
    assert checks(report) == {("account", "all rounds")}
    assert "accounts for 2 rounds" in report.findings[0].message
    assert report.cost.rounds == 3


def test_a_log_that_leaves_out_a_round_is_found(server: Server) -> None:
    phone = head_of(server, 4)
    with rewriting(server) as (_, entries):
        del entries[2]
    report = audited(server)
    assert {("account", "round 2"), ("account", "all rounds"), ("chain", "round 3")} <= checks(report)
    with rewriting(server) as (_, entries):
        del entries[2]  # round 3: the latest, so nothing in the log itself tells
    given = replace(phone, size=1, root=Edge.of(unpack(server.models.log(0))[:1]).root, given=frozenset({1, 3}))
    with rewriting(server) as (_, entries):
        entries.append(changed(entries[1], version=3, parent=2, round_id=4))
    assert ("account", "round 3") in checks(audited(server, given))


def test_what_is_no_longer_kept_is_said_and_not_found(server: Server, clock: Clock) -> None:
    Retention(server.database, server.blobs, RetentionSettings(models=1), clock).sweep()
    report = audited(server)
    assert report.findings == []
    assert any("no longer kept" in each for each in report.unchecked)
    assert report.recomputed < 3


def test_a_latest_model_without_a_mean_is_found(server: Server) -> None:
    with server.database.write() as session:
        session.execute(sql.update(ModelRow).where(ModelRow.version == 4).values(mean=""))
    assert checks(audited(server)) == {("model", "model 4")}
    with rewriting(server) as (_, entries):
        entries[3] = changed(entries[3], mean="")
    assert any("not published" in finding.message for finding in audited(server).findings)


def test_a_plan_that_another_key_signed_is_found(server: Server) -> None:
    class Other(InProcess):
        def round(self, round_id: int) -> bytes | None:
            told = super().round(round_id)
            assert told is not None
            return told[:PLAN_BYTES] + bytes(64) + told[PLAN_BYTES + 64 :] if round_id == 2 else told

    report = audit(Other(server), KEY)[0]
    assert ("round", "round 2") in checks(report)


def test_a_head_that_another_key_signed_is_found(server: Server) -> None:
    report = audit(InProcess(server), bytes(32))[0]
    assert checks(report) == {("head", "log")}
