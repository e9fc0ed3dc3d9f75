"""Known answers of this package, one of the files that `tests.federation.vectors` writes."""

from pathlib import Path
from typing import Any

import numpy as np

from federation.secure_aggregation import keys, masks, min_threshold, shamir
from federation.secure_aggregation.keys import Role
from federation.secure_aggregation.messages import split
from federation.updates.encoding import ModularEncoding, PackedEncoding
from federation.updates.rotation import Rotation
from tests.federation.secure_aggregation.cohort import (
    AUTHORITY,
    DEVICES,
    PLAN_HASH,
    Session,
    digest,
    entropy,
    parameters,
)

PATH = Path(__file__).parents[3] / "docs" / "vectors" / "secure_aggregation.json"

KEY = bytes(range(32))
SID = bytes(range(32, 64))


def transcript(n: int, *, shares: int, uploads: int) -> dict[str, Any]:
    """A session and its messages.

    Args:
        n: phones that advertise keys.
        shares: how many of them deal shares, the first ones.
        uploads: how many upload and stay until the end.
    """
    session = Session(n, parameters())
    who = {"advertise": n, "share": shares, "mask": uploads, "confirm": uploads, "unmask": uploads}
    messages: dict[str, Any] = {}
    for step, sent in [
        ("advertise", lambda: session.server.roster_message),
        ("share", lambda: [session.inbox(index) for index in range(shares)]),
        ("mask", lambda: session.server.survivors_message),
        ("confirm", lambda: session.server.signatures_message),
        ("unmask", lambda: session.server.vector.to_bytes()),  # noqa: PLW0108 - the server is another by then
    ]:
        getattr(session, step)(range(who[step]))
        answer = sent()
        messages[step] = {
            "phones": [session.messages[index].hex() for index in range(who[step])],
            "server": [each.hex() for each in answer] if isinstance(answer, list) else answer.hex(),
        }
    return {
        "plan_hash": PLAN_HASH.hex(),
        "authority": AUTHORITY.authority.public_key.hex(),
        "identity_private_keys": [each.key.private_key.private_bytes_raw().hex() for each in DEVICES[:n]],
        "secrets": [_drawn(index, min_threshold(n) - 1) for index in range(n)],
        "vectors": [session.vectors[index].to_bytes().hex() for index in range(uploads)],
        "messages": messages,
    }


def _drawn(index: int, degree: int) -> dict[str, Any]:
    """Return what a phone of the session drew, in this order."""
    draw = entropy(0, index)
    mask_key, share_key, self_mask = (draw(32).hex() for _ in range(3))
    return {
        "mask_key": mask_key,
        "share_key": share_key,
        "self_mask": self_mask,
        "coefficients": [[each.hex() for each in split(draw(32 * degree), 32)] for _ in range(2)],
    }


def answers() -> dict[str, Any]:
    """Compute everything in the file."""
    levels = np.array([0, 1, 2, 40, 41, 163], np.int64)
    rotation = Rotation(KEY, 4096)
    return {
        "key": KEY.hex(),
        "sid": SID.hex(),
        "derived": {role.name: keys.derive(KEY, SID, role, 1, 258).hex() for role in Role},
        "commitment": keys.commitment(KEY).hex(),
        "mask": masks.key_stream(KEY).update(bytes(64)).hex(),
        "dealt": keys.encrypt_shares(KEY, SID, 1, 258, digest("shares")).hex(),
        "shares": {
            "secret": KEY.hex(),
            "coefficients": [each.hex() for each in split(entropy("known")(64), 32)],
            "shares": [share.hex() for share in shamir.share(KEY, 3, 5, entropy("known"))],
        },
        "encoding": {
            "levels": levels.tolist(),
            "lanes5_of_40_phones": PackedEncoding(5, 40, 1.0).pack(levels).tolist(),
            "wrap8": ModularEncoding(8, 40, 1.0).pack(levels - 41).tolist(),
            "rotation_order": rotation._order[:8].tolist(),
            "rotation_signs": rotation._signs[:8].astype(int).tolist(),
        },
        "session": transcript(3, shares=3, uploads=3),
        "dropouts": transcript(7, shares=6, uploads=5),
    }
