"""What a device keeps: who it is, what it was told, and a ledger of every byte that it sent and why.

One SQLite file, one file each for the identity, the pseudonym and the model, in a folder that only its owner may read.
Nothing of it is text that was typed. Secrets of a round are never written: a phone that was killed has dropped out.
"""

import io
from pathlib import Path

import numpy as np

from federation.base.files import write_private
from federation.device.database import PhoneDatabase
from federation.device.errors import DistrustError, StoreError
from federation.device.key_files import pseudonym_file, read_or_draw, read_pseudonym
from federation.device.records import SHOWN_COORDINATES, Contribution
from federation.protocol.credentials import Credential, EnrolmentRequest
from federation.protocol.model_codec import SharedKind
from federation.secure_aggregation import DeviceKey
from model import arrays, files
from model.wording import DAMAGE

_PSEUDONYM, _NEXT = "pseudonym.key", "next.key"


class PhoneStore(PhoneDatabase):
    """A device's folder: its database, and the files beside it.

    Args:
        folder: made if it does not exist; a device that has none draws its identity.

    Raises:
        StoreError: it cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.identity = read_or_draw(folder / "identity.key")
            self._pseudonym = read_pseudonym(folder / _PSEUDONYM)
        except OSError as error:
            raise self._unusable(error) from error
        super().__init__(folder)

    @property
    def key(self) -> DeviceKey:
        """Of the pseudonym that the device goes under.

        Raises:
            DistrustError: it is not enrolled.
        """
        if self._pseudonym is None:
            raise DistrustError("this device is not enrolled: enrol it first")
        return self._pseudonym[0]

    @property
    def credential(self) -> Credential | None:
        """Of the pseudonym, once the device is enrolled."""
        return None if self._pseudonym is None else self._pseudonym[1]

    def enrolment_request(self) -> bytes:
        """Return a request for the authority: to certify a pseudonym that nobody else has seen yet.

        It is drawn once, and asked for until the authority has answered.
        """
        path = self.folder / _NEXT
        try:
            if self._pseudonym is not None and path.exists() and read_or_draw(path).public_key == self.key.public_key:
                path.unlink()  # killed when it had just been taken
            return EnrolmentRequest.signed(self.identity, read_or_draw(path))
        except OSError as error:
            raise self._unusable(error) from error

    def enrolled(self, credential: Credential) -> None:
        """Go under the pseudonym of a credential from now on; the one before is forgotten.

        Raises:
            DistrustError: it is not the pseudonym that was asked for.
        """
        path = self.folder / _NEXT
        key = read_or_draw(path)
        if (credential.device_id, credential.identity_key) != (key.device_id, key.public_key):
            raise DistrustError("the enrolment service answered with the credential of another device")
        self._write(_PSEUDONYM, pseudonym_file(key, credential))
        self._pseudonym = key, credential
        path.unlink()

    @property
    def model_version(self) -> int:
        """Version of the model that is kept; 0 before one came."""
        return self.version("model")

    def version(self, kind: SharedKind) -> int:
        """Return the version of what is kept of a kind; 0 before one came."""
        return int(self._get(f"{kind} version") or 0)

    def model(self, kind: SharedKind = "model") -> bytes | None:
        """Return the weights of the model that is kept, or the counts, as bytes."""
        try:
            return files.read(self.folder / f"{kind}.weights")
        except FileNotFoundError:
            return None

    def keep_model(self, weights: bytes, version: int = 0, kind: SharedKind = "model") -> None:
        """Replace the model, or the counts, by another."""
        self._write(f"{kind}.weights", weights)
        self._set(f"{kind} version", str(version).encode())

    def keep_contribution(self, contribution: Contribution) -> None:
        """Keep what a round's update looked like, in place of the one before."""
        file = io.BytesIO()
        np.savez(
            file,
            number=contribution.number,
            delta=contribution.delta[:SHOWN_COORDINATES],
            masked=contribution.masked[: 4 * SHOWN_COORDINATES],
            sent_bytes=contribution.sent_bytes,
        )
        self._write("contribution.npz", file.getvalue())

    def contribution(self) -> Contribution | None:
        """Return what the last update looked like."""
        try:
            with arrays.archive(self.folder / "contribution.npz") as kept:
                return Contribution(
                    int(kept["number"]), kept["delta"], kept["masked"], sent_bytes=int(kept["sent_bytes"])
                )
        except DAMAGE:
            return None

    def forget_contribution(self) -> None:
        """Keep nothing of the last update: an app may want it sealed, or gone."""
        (self.folder / "contribution.npz").unlink(missing_ok=True)

    def partial(self, name: str) -> Path:
        """Return where a download is kept until it is complete."""
        return self.folder / f"{name}.part"

    def forget_partials(self, *, but: Path | None = None) -> None:
        """Remove downloads that were begun and will not be ended."""
        for path in self.folder.glob("*.part"):
            if path != but:
                path.unlink(missing_ok=True)

    def _write(self, name: str, content: bytes) -> None:
        try:
            write_private(self.folder / name, content)
        except OSError as error:
            raise StoreError(f"the phone's records in {self.folder} cannot be written: {error}") from error
