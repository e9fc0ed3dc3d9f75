"""Fifty phones that do not trust their operator, in a round over HTTP: it completes, and nothing exact comes of it."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.base.child_processes import serving
from federation.device.store import PhoneStore
from federation.enrolment.authority import AuthorityFolder
from federation.fleet.enrolled_phones import enrolled_phones
from federation.fleet.headless import Fleet, HeadlessSettings
from federation.privacy.conversion import spent_epsilon
from federation.protocol.plan import PLAN_BYTES, Deadlines, Mechanism, Privacy, RoundPlan
from federation.protocol.trust import UNTRUSTED, Anchors
from federation.server.history import RoundSummary, rounds_of
from federation.server.installation import Installation
from federation.server.preparation import prepare
from federation.server.settings import RoundSettings, ServerSettings
from model.batches import pack
from model.engine import Export
from model.engine.exported import MANIFEST
from model.text import tokenise
from tests.federation.server.conftest import TEXT
from tests.federation.server.test_serving import until

PHONES = UNTRUSTED.min_phones
ROUNDS = RoundSettings(
    goal=PHONES,
    minimum=PHONES,
    over_selection=1.0,
    clip=0.3,
    weight_cap=1,
    privacy=Privacy(Mechanism.SKELLAM, UNTRUSTED.min_noise_multiplier, PHONES // 2),
    deadlines=Deadlines(120, 240, 420, 480, 540),
    meeting_seconds=5,
    slot_seconds=120,
)


@pytest.fixture
def installation(tmp_path: Path, exported: Path) -> Installation:
    """A server's folder, and beside it what its publisher's app brings along."""
    authority = AuthorityFolder.create(tmp_path / "authority")
    settings = ServerSettings(rounds=ROUNDS, max_relative_gate_loss=10.0, revoked=str(authority.revocations))
    made = prepare(
        tmp_path / "server",
        model=exported,
        settings=settings,
        public_text=lambda: TEXT,
        authority=tmp_path / "authority",
    )
    anchors = Anchors.of(made.export.manifest, made.public_key, authority.authority.public_key, profile=UNTRUSTED)
    anchors.write(tmp_path / "trust.json", exported / MANIFEST, Ed25519PrivateKey.generate())
    return made


@pytest.fixture
def url(installation: Installation, tmp_path: Path) -> Iterator[str]:
    command = ("serve", "--folder", installation.folder, "--authority", tmp_path / "authority", "--workers", 1)
    with serving(*command, "--admin-port", 0, log=tmp_path / "log") as address:
        yield address


def finished(installation: Installation) -> list[RoundSummary]:
    return [each for each in rounds_of(installation.database) if each.seconds is not None]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fifty_phones_that_trust_nobody_make_a_model_of_noised_sums(
    installation: Installation, url: str, exported: Path, tmp_path: Path
) -> None:
    export = Export.load(exported)
    phones = enrolled_phones(
        [TEXT * 4] * PHONES,
        server=url,
        export=export,
        authority=tmp_path / "authority",
        out=tmp_path / "phones",
        settings=HeadlessSettings(),
        seed=1,
        trust=tmp_path / "trust.json",
        typed=1.0,
    )
    with Fleet(phones, lambda *_: None):
        until(lambda: bool(finished(installation)), 800)
    (made,) = finished(installation)
    assert (made.outcome, made.phones) == ("finished", PHONES)

    plan = RoundPlan.from_bytes(installation.rounds.plan(1)[:PLAN_BYTES])
    step = installation.models.state(2).weights - installation.models.state(1).weights
    deviation = plan.codec.encoding.step * math.sqrt(PHONES * plan.codec.noise_variance) / PHONES
    # All fifty updates are the same one, no longer than the clip: what is left of its length is noise.
    signal = ROUNDS.clip / math.sqrt(len(step))
    assert deviation < np.std(step) < math.hypot(2 * deviation, signal)
    floor = UNTRUSTED.min_noise_multiplier * ROUNDS.clip / PHONES
    assert deviation > floor / math.sqrt(UNTRUSTED.counted_share) * 0.99

    assert plan.session.vector.counters == 0
    rows = pack(export.vocabulary.encode(tokenise(text)) for text in TEXT * 4)
    exact = export.trainer().evaluate(rows)
    # A noised count is the exact one now and then, of phones in 4 % of rounds; all of them together are not.
    told = installation.models.version(2).metrics
    exact_ones = {"examples": PHONES, "loss_before": exact.mean_loss, "accuracy_before": exact.accuracy}
    assert any(told[name] != pytest.approx(value, rel=1e-4) for name, value in exact_ones.items())

    for number in range(PHONES):
        store = PhoneStore(tmp_path / "phones" / f"phone-{number:03}")
        record = next(each for each in store.rounds() if each.round_id == 1)
        assert (record.contributed, record.phones) == (True, PHONES)
        assert store.profile == replace(UNTRUSTED)
        assert store.budget is not None
        assert 100 < spent_epsilon(store.budget.spent_rho) < UNTRUSTED.epsilon_limit
        store.close()
