"""Headless phones that are enrolled with the authority of a running server."""

import math
from collections.abc import Sequence
from pathlib import Path

from federation.device import PhoneStore, enrol
from federation.device.errors import ServerRefusedError
from federation.enrolment.authority import AuthorityFolder
from federation.fleet.headless import HeadlessPhone, HeadlessSettings, TrainerPool, Typist
from federation.protocol.credentials import CredentialError
from federation.protocol.trust import Anchors
from model.engine import Export

_FORBIDDEN = 403


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

    def renew(store: PhoneStore) -> None:
        if anchors.enrolment_url:
            enrol(anchors.enrolment_url, store)
        else:
            enrol_at(AuthorityFolder(authority), store)

    return [
        HeadlessPhone(
            out / f"phone-{number:03}",
            server,
            enrol=renew,
            typist=Typist(texts, at_first=math.ceil(typed * len(texts)), a_round=math.ceil(len(texts) / 20)),
            pool=pool,
            anchors=anchors,
            settings=settings,
            seed=seed,
            index=number,
        )
        for number, texts in enumerate(people)
    ]


def enrol_at(authority: AuthorityFolder, store: PhoneStore) -> None:
    """Have an authority on this machine certify a device for the current epoch, and keep its credential.

    Raises:
        ServerRefusedError: it does not.
    """
    try:
        store.enrolled(authority.enrol(store.enrolment_request()))
    except CredentialError as error:
        raise ServerRefusedError(str(error), _FORBIDDEN) from error
