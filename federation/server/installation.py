"""A server's folder: its key, its settings, and by default its database and blobs.

    server.toml    settings; read at every start
    server.key     raw Ed25519 private key, readable by the owner only
    authority.pub  raw Ed25519 public key of the enrolment authority
    server.sqlite  the database, unless `database` names a PostgreSQL server
    blobs/         models and masked vectors, unless `blobs` names another store
    noise.mark     how far the noise has come; apart from the database, so that one that is put back is noticed
    instance.mark  how far rounds have come, likewise
    export/        the network and vocabulary that phones have
    public.txt     held-out public text for the gate, a message a line

Several machines may serve one database and one blob store: give each a copy of all but the database and blobs.
"""

import contextlib
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.base.files import write_private
from federation.errors import ConfigError
from federation.protocol import versions
from federation.protocol.credentials import MAX_REVOCATIONS_BYTES, CredentialError, Revocations
from federation.robustness import PieceRows
from federation.secure_aggregation import Authority
from federation.server.check_ins import CheckIns
from federation.server.coordinator import Coordinator, SimulatedClients
from federation.server.counting import Counting
from federation.server.defence import Probe
from federation.server.errors import UnknownError
from federation.server.models import Gate, Kind, Models
from federation.server.retention import Retention
from federation.server.rounds import Rounds
from federation.server.settings import ServerSettings
from federation.server.store import Blobs, Database
from federation.updates.rotation import padded
from model import files
from model.counts import LIST_LENGTH
from model.engine import Export
from model.layout import FlatVector

_KEY_BYTES = 32
_WORD_BYTES = 8
_UPLOAD_OVERHEAD = 4096


@dataclass(frozen=True)
class Installation:
    """A server as it is set up; make one with `create` or `load`.

    Attributes:
        folder: of the server.
        settings: of `server.toml`.
        key: of the round server.
        authority: whose devices take part.
        clock: seconds since 1970.
    """

    folder: Path
    settings: ServerSettings
    key: Ed25519PrivateKey = field(repr=False)
    authority: Authority
    clock: Callable[[], float] = time.time

    @classmethod
    def create(cls, folder: Path, settings: ServerSettings, authority: Authority) -> Self:
        """Write a folder's files, but for those that are there already."""
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "server.key").exists():
            write_private(folder / "server.key", Ed25519PrivateKey.generate().private_bytes_raw())
        for name, content in (("authority.pub", authority.public_key), ("server.toml", settings.to_toml().encode())):
            if not (folder / name).exists():
                files.write(folder / name, content)
        return cls.load(folder)

    @classmethod
    def load(cls, folder: Path, clock: Callable[[], float] = time.time) -> Self:
        """Read a folder.

        Raises:
            ConfigError: a file is missing or damaged.
        """
        try:
            key, authority = files.read(folder / "server.key"), files.read(folder / "authority.pub")
            text = files.read_text(folder / "server.toml", "utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{folder} is no server's folder: make one with `fedkey serve`") from error
        if len(key) != _KEY_BYTES or len(authority) != _KEY_BYTES:
            raise ConfigError(f"server.key and authority.pub in {folder} have {_KEY_BYTES} bytes: put them back")
        return cls(
            folder,
            ServerSettings.from_toml(text),
            Ed25519PrivateKey.from_private_bytes(key),
            Authority(authority),
            clock,
        )

    @property
    def public_key(self) -> bytes:
        """32 raw bytes that phones pin."""
        return self.key.public_key().public_bytes_raw()

    @cached_property
    def database(self) -> Database:
        """The database, opened."""
        return Database(self.settings.database or f"sqlite:///{(self.folder / 'server.sqlite').resolve()}")

    @cached_property
    def blobs(self) -> Blobs:
        """The blob store."""
        return Blobs(self.settings.blobs or str((self.folder / "blobs").resolve()))

    @cached_property
    def models(self) -> Models:
        """Versions of the model."""
        return Models(self.database, self.blobs, self.key)

    @cached_property
    def counts(self) -> Models:
        """Versions of the counts that phones made together."""
        return Models(self.database, self.blobs, self.key, Kind.COUNTS)

    def holding(self, version: int) -> Models:
        """Return the versions, of weights or of counts, that one is among.

        Raises:
            UnknownError: it is among neither.
        """
        with contextlib.suppress(UnknownError):
            self.counts.version(version)
            return self.counts
        self.models.version(version)
        return self.models

    def counting(self, texts: Sequence[str]) -> Counting | None:
        """Return the counting rounds, with their first version, if the settings ask for any.

        Args:
            texts: public messages that their gate measures on.
        """
        rounds = self.settings.rounds
        if not (rounds.counting.every or rounds.words.every):
            return None
        self.check_counting()
        max_rise = self.settings.max_relative_gate_loss
        counting = Counting(rounds.counting, rounds.words, self.export, self.counts, texts, max_rise)
        counting.begin(self.clock())
        return counting

    def check_counting(self) -> None:
        """Refuse to count or to vote where nothing can come of it.

        Raises:
            ConfigError: the export has nothing to count, or too few phones vote for the noise that they add.
        """
        rounds, export = self.settings.rounds, self.export
        if (rounds.counting.every or rounds.words.every) and export.mixture.public is None:
            raise ConfigError("counting needs a public n-gram in the export: export a model from the public start")
        if rounds.words.every:
            rounds.words.check(rounds.privacy, rounds.goal, len(export.vocabulary.candidates))

    @cached_property
    def check_ins(self) -> CheckIns:
        """Selects phones for rounds."""
        return CheckIns(self.database, self.key, self.settings.rounds, self.clock)

    @cached_property
    def rounds(self) -> Rounds:
        """Rounds as phones see them."""
        return Rounds(
            self.database,
            self.blobs,
            self.key,
            self.authority,
            self.clock,
            revocations=self.revocations,
        )

    def coordinator(
        self,
        gate: Gate,
        simulated_clients: SimulatedClients | None = None,
        probe: Probe | None = None,
        counting: Counting | None = None,
    ) -> Coordinator:
        """Return who moves rounds on; see `Coordinator` for the arguments."""
        return Coordinator(
            self.database,
            self.blobs,
            self.models,
            self.key,
            self.authority,
            self.settings.rounds,
            self.settings.optimizer.optimizer,
            gate,
            self.clock,
            self.folder / "noise.mark",
            simulated_clients,
            probe,
            counting,
            self.retention,
            self.revocations,
            PieceRows.of(self.export.manifest.network, self.export.vocabulary.piece_frequencies),
        )

    @cached_property
    def retention(self) -> Retention:
        """Removes what is too old."""
        return Retention(self.database, self.blobs, self.settings.retention, self.clock)

    def begin(self, weights: FlatVector) -> None:
        """Bring the database to this version of fedkey, and make these weights version 1 if there is none."""
        self.database.migrate()
        self.models.begin(self.settings.optimizer.optimizer.initialize(weights), self.clock())

    @cached_property
    def _revoked(self) -> Callable[[Path, tuple[int, ...]], Revocations]:
        """Reads a list, once while its file does not change: that of a fleet takes longer than a request."""

        @functools.lru_cache(maxsize=1)
        def read(path: Path, _changed: tuple[int, ...]) -> Revocations:
            return Revocations.from_signed(files.read(path, MAX_REVOCATIONS_BYTES), self.authority)

        return read

    def revocations(self) -> Revocations:
        """Return the list as it is now.

        Raises:
            CredentialError: the file is missing or not the authority's; nobody is let in before it is mended.
        """
        if not self.settings.revoked:
            return Revocations()
        path = Path(self.settings.revoked)
        try:
            told = path.stat()
            return self._revoked(path, (told.st_mtime_ns, told.st_size, told.st_ino))
        except OSError as error:
            raise CredentialError(f"the list of revoked devices cannot be read: {error}") from error

    @cached_property
    def export(self) -> Export:
        """The network and vocabulary that phones have."""
        return Export.load(self.folder / "export")

    @property
    def max_upload(self) -> int:
        """Bytes that a masked vector has at most."""
        rounds = self.settings.rounds
        counts = rounds.counting.every or rounds.words.every
        longest = max(self.export.manifest.network.parameters, LIST_LENGTH if counts else 0)
        return _WORD_BYTES * padded(longest) + _UPLOAD_OVERHEAD

    @property
    def about(self) -> dict[str, Any]:
        """What anyone may know of this server."""
        manifest = self.export.manifest
        return {
            "protocols": list(versions.SPOKEN),
            "server_key": self.public_key.hex(),
            "authority_key": self.authority.public_key.hex(),
            "vocabulary": manifest.vocabulary,
            "dimension": manifest.network.parameters,
            "enrolment_url": self.settings.enrolment_url,
        }
