"""What an app brings along and no server may change: whose rounds, which model, and how far the operator is trusted.

A publisher writes it beside an exported model as `trust.json` and signs it. A phone takes none of it from a server,
whose own statement must agree.
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.base.files import write_private
from federation.errors import FederationError
from federation.protocol.strict import strictly
from federation.secure_aggregation.identity import SIGNATURE_BYTES, verifies
from model import files
from model.engine import Manifest
from model.engine.exported import MANIFEST, TRUST
from model.wording import in_words

_LABEL = b"fedkey trust v1\0"
_KEY_BYTES = 32


class TrustError(FederationError):
    """An app that brings no keys of a round server, or whose keys its publisher did not sign."""


@dataclass(frozen=True, kw_only=True)
class TrustProfile:
    """How far a phone trusts the operator of its rounds.

    Attributes:
        name: `untrusted operator` or `trusted operator`.
        min_phones: in a sum.
        min_noise_multiplier: of the noise that phones make together; 0 asks for none.
        counted_share: of a sum's phones, those whose noise is counted on at most.
        epsilon_limit: of all rounds together; infinite for none.
        rounds_per_model: that a phone sends an update to, trained from one version of the model.
        rounds_per_week: that a phone sends an update to.
        max_step: L2 distance between two consecutive versions of the model.
        max_drift: L2 distance of any version from the model that the app came with.
    """

    name: str
    min_phones: int
    min_noise_multiplier: float
    counted_share: float
    epsilon_limit: float
    rounds_per_model: int
    rounds_per_week: int
    max_step: float
    max_drift: float

    def __post_init__(self) -> None:
        counts = (self.min_phones, self.rounds_per_model, self.rounds_per_week)
        numbers = (self.epsilon_limit, self.max_step, self.max_drift)
        if min(counts) < 1 or not all(number > 0 for number in numbers) or not 0 < self.counted_share <= 1:
            raise ValueError(f"no profile has these numbers: {in_words(self)}")
        if not (math.isfinite(self.min_noise_multiplier) and self.min_noise_multiplier >= 0):
            raise ValueError("a noise multiplier is finite and not negative")

    @property
    def says(self) -> str:
        """What the profile protects from, in plain words."""
        if self.min_noise_multiplier > 0:
            return (
                f"You need not trust the server's operator: this phone takes part only with {self.min_phones} phones "
                f"or more in a sum, adds noise of its own before anything leaves, and counts on the noise of "
                f"{100 * self.counted_share:.0f} % of the others. It does not cover what all phones together say, nor "
                "an operator who runs nearly all phones of a sum itself, if the authority that certifies phones helps."
            )
        return (
            f"You trust the server's operator, who gets sums of {self.min_phones} phones or more, without noise: "
            "with a model made for it they could read words out of a sum."
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values; no limit is None."""
        values = asdict(self)
        return {name: None if value == math.inf else value for name, value in values.items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Read what `to_json` returned.

        Raises:
            AttributeError, TypeError, ValueError: it is none.
        """
        limits = ("epsilon_limit", "max_step", "max_drift")
        unlimited = {name: math.inf for name in limits if values.get(name, 0) is None}
        return strictly(cls, values, **unlimited)


UNTRUSTED = TrustProfile(
    name="untrusted operator",
    min_phones=50,
    min_noise_multiplier=0.1,
    counted_share=0.5,
    epsilon_limit=2000.0,
    rounds_per_model=1,
    rounds_per_week=7,
    max_step=1.0,
    max_drift=60.0,
)
"""The default of an export for others. With noise of multiplier 0.1 nothing was read out of the sum of a crafted model;
the epsilon of such noise is too large to promise that by itself. The bounds on models are those of honest rounds with a
clip of 0.3 at this floor, as `benchmarks/model_bounds.py` measures them."""

TRUSTED = TrustProfile(
    name="trusted operator",
    min_phones=2,
    min_noise_multiplier=0.0,
    counted_share=1.0,
    epsilon_limit=math.inf,
    rounds_per_model=1 << 20,
    rounds_per_week=1 << 20,
    max_step=math.inf,
    max_drift=math.inf,
)
"""Families, tests and the demo: secure aggregation alone."""

PROFILES = {"untrusted": UNTRUSTED, "trusted": TRUSTED}


@dataclass(frozen=True, kw_only=True)
class Anchors:
    """Of one app.

    Attributes:
        vocabulary: key of the vocabulary; see `model.engine.Manifest`.
        dimension: of the network's flat vector.
        version: of the model that the app came with.
        server_key: raw Ed25519 public key of the round server, which signs plans, models and the log.
        authority_key: of the enrolment authority.
        enrolment_url: where devices enrol; empty if elsewhere.
        profile: how far the operator is trusted.
        publisher: raw Ed25519 public key that signed these; empty if they were not read from a file.
    """

    vocabulary: str
    dimension: int
    version: int
    server_key: bytes
    authority_key: bytes
    enrolment_url: str = ""
    profile: TrustProfile = UNTRUSTED
    publisher: bytes = b""

    def __post_init__(self) -> None:
        if {len(self.server_key), len(self.authority_key)} != {_KEY_BYTES}:
            raise ValueError("a server's and an authority's key have 32 bytes each")

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        server_key: bytes,
        authority_key: bytes,
        *,
        enrolment_url: str = "",
        profile: TrustProfile = UNTRUSTED,
    ) -> Self:
        """Return those of an exported model, for a server and an authority."""
        return cls(
            vocabulary=manifest.vocabulary,
            dimension=manifest.network.parameters,
            version=manifest.version,
            server_key=server_key,
            authority_key=authority_key,
            enrolment_url=enrolment_url,
            profile=profile,
        )

    def write(self, path: Path, manifest: Path, publisher: Ed25519PrivateKey) -> None:
        """Write and sign the file.

        Args:
            path: of it.
            manifest: of the exported model that these belong to.
            publisher: who signs.
        """
        content = {
            "manifest_sha256": hashlib.sha256(files.read(manifest)).hexdigest(),
            "server_key": self.server_key.hex(),
            "authority_key": self.authority_key.hex(),
            "enrolment_url": self.enrolment_url,
            "profile": self.profile.to_json(),
        }
        text = json.dumps(content, sort_keys=True, indent=1)
        signature = publisher.sign(_LABEL + text.encode()).hex()
        key = publisher.public_key().public_bytes_raw().hex()
        write_private(path, json.dumps({"trust": text, "publisher": key, "signature": signature}, indent=1).encode())

    @classmethod
    def read(cls, folder: Path, manifest: Manifest, path: Path | None = None) -> Self:
        """Read the file of an exported model.

        Args:
            folder: of the exported model.
            manifest: of it.
            path: of the file, if it is not in the folder.

        Raises:
            TrustError: there is none, its publisher did not sign it, or it is another model's.
        """
        path = path or folder / TRUST
        try:
            told = json.loads(files.read(path))
            text, publisher = str(told["trust"]), bytes.fromhex(told["publisher"])
            signature = bytes.fromhex(told["signature"])
            if len(publisher) != _KEY_BYTES or len(signature) != SIGNATURE_BYTES:
                raise ValueError("a key or a signature has another length")  # noqa: TRY301
            if not verifies(publisher, signature, _LABEL + text.encode()):
                raise TrustError(f"{path} was changed after its publisher signed it: get the app again")
            values = json.loads(text)
            if values["manifest_sha256"] != hashlib.sha256(files.read(folder / MANIFEST)).hexdigest():
                raise TrustError(f"{path} belongs to another model than that in {folder}: get the app again")
            anchors = cls(
                vocabulary=manifest.vocabulary,
                dimension=manifest.network.parameters,
                version=manifest.version,
                server_key=bytes.fromhex(values["server_key"]),
                authority_key=bytes.fromhex(values["authority_key"]),
                enrolment_url=str(values["enrolment_url"]),
                profile=TrustProfile.from_json(values["profile"]),
                publisher=publisher,
            )
        except FileNotFoundError as error:
            raise TrustError(
                "this app brings no keys of a round server, and takes none from a server: "
                "write them with `fedkey export --sign`"
            ) from error
        except (OSError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise TrustError(f"{path} is damaged: get the app again") from error
        return anchors
