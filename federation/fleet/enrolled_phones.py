"""Headless phones that are enrolled with the authority of a running server."""

import math
from collections.abc import Sequence
from pathlib import Path

from federation.device import PhoneStore, enrol
from federation.enrolment.authority import AuthorityFolder
from federation.fleet.headless import HeadlessPhone, HeadlessSettings, TrainerPool, Typist
from federation.protocol.credentials import Credential
from federation.protocol.trust import Anchors
from model.engine import Export

_DAYS = 365


def enrolled_phones(
    people: Sequence[Sequence[str]],
    *,
    server: str,
    export: Export,
    authority: Path,
    out: Path,
    settings: HeadlessSettings,
    seed: int,
    trust: Path | None = None,
    typed: float = 0.5,
) -> list[HeadlessPhone]:
    """Return a phone for each of some people.

    Args:
        people: Messages of each, oldest first.
        server: URL of the round server.
        export: Network and vocabulary that the phones come with.
        authority: Folder of the authority, unless the app names an enrolment service.
        out: Folder of the phones' stores.
        settings: How the phones behave.
        seed: Seed of what is random about them.
        trust: File of the keys that the phones come with; by default that beside the export.
        typed: Fraction of their messages that the people have typed already.
    """
    pool = TrainerPool(export)

    anchors = Anchors.read(export.directory, export.manifest, trust)

    def credential(store: PhoneStore) -> Credential | None:
        if not anchors.enrolment_url:
            return AuthorityFolder(authority).enrol(store.key.enrolment_request(), _DAYS)
        enrol(anchors.enrolment_url, store)
        return None

    return [
        HeadlessPhone(
            out / f"phone-{number:03}",
            server,
            enrol=credential,
            typist=Typist(texts, at_first=math.ceil(typed * len(texts)), a_round=math.ceil(len(texts) / 20)),
            pool=pool,
            anchors=anchors,
            settings=settings,
            seed=seed,
            index=number,
        )
        for number, texts in enumerate(people)
    ]
