"""Where `benchmarks/attack_server.py` takes place: an operator's server, phones, and their rounds."""

import contextlib
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import httpx
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.attack_operator import CHOSEN, Summed, operating, whole_sums
from benchmarks.attack_phones import Party, awaited, living
from benchmarks.attack_phones import World as Phones
from benchmarks.attack_world import Played, World
from federation.base.rate_limits import RateLimits
from federation.device.errors import PhoneError
from federation.enrolment.authority import AuthorityFolder
from federation.fleet.enrolled_phones import enrol_at
from federation.fleet.headless import HeadlessPhone, HeadlessSettings, Typist
from federation.privacy.mechanisms import phone_noise
from federation.protocol.conditions import Conditions
from federation.protocol.credentials import Credential, epoch_of
from federation.protocol.plan import PLAN_BYTES, Deadlines, Mechanism, Privacy, RoundPlan
from federation.protocol.task import TrainingTask
from federation.protocol.training_settings import TrainingSettings
from federation.protocol.trust import PROFILES, Anchors
from federation.robustness import DefenceSettings
from federation.rounds.selection import UNSPLIT_PHONES
from federation.secure_aggregation.identity import SIGNATURE_BYTES
from federation.server.coordinator.closing import abandon
from federation.server.history import RoundSummary, rounds_of
from federation.server.installation import Installation
from federation.server.models import Verdict
from federation.server.preparation import prepare
from federation.server.serving import application
from federation.server.settings import RoundSettings, ServerSettings
from federation.server.tables import RoundRow
from federation.updates.update import Tally, Update
from model import files
from model.engine.exported import MANIFEST
from model.layout import FlatVector

_PATIENCE_SECONDS = 15.0
_POLL_SECONDS = 0.2
_CLIP, _LEARNING_RATE = 0.3, 0.5
_DEADLINES = Deadlines(900, 1500, 5400, 6000, 6600)
_READY = Conditions(idle=True, charging=True, unmetered=True)


class Stage(contextlib.ExitStack):
    """An operator's server and the phones around it; as a context manager it makes the server's folder.

    Args:
        world: what does not change.
        folder: of all of it.
        profile: of the phones' apps.
        phones: in a sum.
        changes: `clip`, `learning_rate`, and `group_phones` to split the cohort.
        over_http: whether all phones take part over HTTP. Otherwise one joins, in this process, and the sum of all is
            made by the plan's own encoding and noise, without masks.
    """

    def __init__(
        self, world: World, folder: Path, profile: str, phones: int, changes: Mapping[str, Any], *, over_http: bool
    ) -> None:
        super().__init__()
        self._world, self._folder, self._phones, self._over_http = world, folder, phones, over_http
        self._profile = PROFILES[profile]
        self._minimum = int(changes.get("group_phones", min(phones, UNSPLIT_PHONES)))
        self._split = "group_phones" in changes
        self.clip = float(changes.get("clip", _CLIP))
        self._rate = float(changes.get("learning_rate", _LEARNING_RATE))
        self._authority = folder / "authority"
        self._plan: RoundPlan
        self._enrolled: dict[str, list[bytes]] = {}

    def __enter__(self) -> Self:
        super().__enter__()
        self._folder.mkdir(parents=True)
        return self

    def bring_own_authority(self) -> None:
        """Have the server serve devices of an authority that the phones' app does not know."""
        self._authority = self._folder / "operators-authority"

    @cached_property
    def _phones_of(self) -> Phones:
        folder = self._folder / "phones"
        folder.mkdir()
        AuthorityFolder.create(self._folder / "authority")
        return Phones(folder, self._world.export.directory, self._folder / "trust.json", self._folder / "authority")

    @cached_property
    def _url(self) -> str:
        return self.enter_context(operating(self._installation.folder))

    @cached_property
    def _installation(self) -> Installation:
        revoked = AuthorityFolder.create(self._authority).revocations
        privacy = Privacy()
        if self._profile.min_noise_multiplier:
            # The least that phones agree to: half of the cohort's noise is enough for the floor.
            privacy = Privacy(Mechanism.SKELLAM, self._profile.min_noise_multiplier, self._minimum - self._minimum // 2)
        rounds = RoundSettings(
            goal=self._phones,
            minimum=self._minimum,
            over_selection=1.0,
            clip=self.clip,
            weight_cap=1,
            privacy=privacy,
            deadlines=_DEADLINES,
            training=TrainingSettings(learning_rate=self._rate, gradient_norm=0.0, dropout=0.0),
            separation_seconds=0,
            slot_seconds=600,
            meeting_seconds=5 if self._over_http else 300,
            defence=replace(DefenceSettings.none(), enabled=self._split, group_phones=self._minimum),
        )
        settings = ServerSettings(
            rounds=rounds,
            rates=RateLimits(device="100000/second", address="100000/second"),
            revoked=str(revoked.resolve()),
        )
        installation = prepare(
            self._folder / "server",
            model=self._world.export.directory,
            settings=settings,
            public_text=lambda: ["how are you", "see you tomorrow"],
            authority=self._authority,
        )
        export, phones = self._world.export, self._phones_of
        keys = installation.public_key, AuthorityFolder(phones.authority).authority.public_key
        anchors = Anchors.of(export.manifest, *keys, profile=self._profile)
        anchors.write(phones.trust, export.directory / MANIFEST, Ed25519PrivateKey.generate())
        return installation

    def parties(self, people: Sequence[Sequence[str]], sybils: int = 0, *, apart: bool = False) -> list[Party]:
        """Return phones, enrolled: people's, the first one's apart if it is to leave, and the operator's own."""
        found = [Party("first", people[:1]), Party("others", people[1:])] if apart else [Party("people", people)]
        if sybils:
            found.append(Party("sybils", [["nothing"]] * sybils, sybils=True))
        if self._over_http:
            self._enrolled.update({party.name: self._phones_of.enrolled(party) for party in found})
        return found

    def choose(self, people: Party, sybils: Party) -> None:
        """Put the first of some phones into one group with the operator's; before the first round."""
        chosen = [name.hex() for name in [self._enrolled[people.name][0], *self._enrolled[sybils.name]]]
        files.write(self._installation.folder / CHOSEN, json.dumps(chosen))

    def insert(self, weights: FlatVector, distance: float = 0.0) -> None:
        """Make weights the current model, as an operator with the database can.

        Args:
            weights: of the model.
            distance: from the one before: phones with bounds get as many versions between as they ask for.
        """
        installation = self._installation
        models = installation.models
        versions = 1
        if np.isfinite(self._profile.max_step):
            versions = max(1, int(np.ceil(distance / self._profile.max_step)))
        stored = models.store(installation.settings.optimizer.optimizer.initialize(weights))
        passed = Verdict(passed=True, metrics={})
        for _ in range(versions):
            parent = models.current_version()
            with installation.database.write() as session:
                models.insert(session, stored, parent=parent, verdict=passed, round_id=None, now=time.time())

    def play(self, parties: Sequence[Party]) -> Played:
        """Let phones live until a round is over, or they refuse it."""
        if not self._over_http:
            return self._played_here(parties)
        installation = self._installation
        rounds = rounds_of(installation.database)
        for opened in rounds:
            if opened.seconds is None:  # for phones of the round before, which are gone
                self._abandon(opened.round_id)
        round_id = rounds[-1].round_id + 1 if rounds else 1

        def latest() -> RoundSummary | None:
            return next((each for each in rounds_of(installation.database) if each.round_id == round_id), None)

        def over() -> bool:
            seen = latest()
            return seen is not None and seen.seconds is not None

        with living(self._phones_of, self._url, parties) as phones:
            refusals = awaited(over, phones, round_id, _PATIENCE_SECONDS)
        ended = latest()
        if ended is not None and ended.outcome == "finished":
            return self._played(Summed.latest(installation.folder), round_id)
        if ended is not None and ended.seconds is None:
            self._abandon(round_id)
        refused = "".join(f"{count} phones refused, {said}" for said, count in refusals.most_common(1))
        return Played(None, refused or (ended.outcome if ended else ""), self._world)

    def _played(self, summed: Summed, round_id: int) -> Played:
        self._plan, task, weights = self._told(round_id)
        return Played(summed, "", self._world, weights, task)

    def _told(self, round_id: int) -> tuple[RoundPlan, TrainingTask, bytes]:
        """Return the plan, task and weights of a round, as phones get them."""
        data = self._installation.rounds.plan(round_id)
        plan = RoundPlan.from_bytes(data[:PLAN_BYTES])
        task = TrainingTask.of_plan(data[PLAN_BYTES + SIGNATURE_BYTES :], plan)
        return plan, task, self._installation.models.weights(plan.model_sha256.hex())

    def _played_here(self, parties: Sequence[Party]) -> Played:
        """Have one phone join in this process, and sum what all of them would send."""
        installation = self._installation
        others = [Credential(os.urandom(16), bytes(32), epoch_of(time.time()), bytes(64)) for _ in range(self._phones)]
        coordinator = installation.coordinator(lambda *_: Verdict(passed=True, metrics={}))
        while not coordinator.tick():  # they come as often as it takes until all of them wait at once
            for other in others:
                installation.check_ins.check_in(other, os.urandom(16), _READY)
        round_id = rounds_of(installation.database)[-1].round_id
        honest = [party for party in parties if not party.sybils]
        refused = self._refused_here(honest[-1], round_id)
        if refused:
            self._abandon(round_id)
            return Played(None, f"one phone of all refused, {refused}", self._world)
        people = [texts for party in honest for texts in party.texts]
        sybils = sum(len(party.texts) for party in parties if party.sybils)
        played = self._played(self._summed(people, sybils, *self._told(round_id)), round_id)
        self._abandon(round_id)
        return played

    def _refused_here(self, party: Party, round_id: int) -> str:
        """Have the last phone of a party join a round, as if it sent an update; return why it refused, if it did."""
        phones = self._phones_of
        phone = HeadlessPhone(
            phones.folder / party.name,
            "http://127.0.0.1",
            enrol=lambda store: enrol_at(AuthorityFolder(phones.authority), store),
            typist=Typist(party.texts[-1], at_first=len(party.texts[-1]), a_round=0),
            pool=self._world.pool,
            anchors=Anchors.read(self._world.export.directory, self._world.export.manifest, phones.trust),
            settings=HeadlessSettings(),
            seed=1,
            index=0,
            transport=httpx.WSGITransport(application(self._installation)),
        )
        with contextlib.closing(phone.store):
            try:
                while not (phone.store.rounds() and phone.store.rounds()[0].round_id == round_id):
                    time.sleep(min(phone.step(), _POLL_SECONDS))
            except PhoneError as error:
                return f"distrust: {error}"
            record = phone.store.rounds()[0]
            if record.joined:
                phone.store.upload_round(record.number, time.time())
                return ""
            return f"{record.reason.value}: {phone.activity.removeprefix('wait: ')}"

    def _abandon(self, round_id: int) -> None:
        """End a round whose phones are gone."""
        with self._installation.database.write() as session:
            abandon(session, session.get_one(RoundRow, round_id), time.time(), "its phones are gone")

    def _summed(
        self, people: Sequence[Sequence[str]], sybils: int, plan: RoundPlan, task: TrainingTask, weights: bytes
    ) -> Summed:
        """Return what the plan's own encoding, noise and sum make of what these phones train, without masks."""
        total, found = plan.session.vector.zeros(), list[Summed]()
        nothing = Update(np.zeros(plan.dimension, np.float32), Tally(1))
        still = np.zeros(plan.codec.coordinates, np.int64) if plan.codec.noised else None
        for number, texts in enumerate(people):
            print(f"  {number} of {len(people)} phones train", end="\r", flush=True)
            noise = phone_noise(plan, os.urandom(32)) if plan.codec.noised else None
            total.add(plan.encode(self._world.update(texts, weights, task), os.urandom(32), noise))
        for _ in range(sybils):
            total.add(plan.encode(nothing, os.urandom(32), still))
        with whole_sums(found.append):
            plan.decode(total, len(people) + sybils)
        return found[0]

    @property
    def noise_deviation(self) -> float:
        """Of the noise on each coordinate of the last round's sum, in units of a delta."""
        codec = self._plan.codec
        return codec.encoding.step * math.sqrt(self._phones * codec.noise_variance) if codec.noised else 0.0
