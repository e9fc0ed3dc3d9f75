"""The shared model on a device: which one it has, and how it comes by another."""

from collections.abc import Callable

import numpy as np

from federation.device.answers import ModelFacts
from federation.device.connection import Connection
from federation.device.downloads import Downloads
from federation.device.errors import DistrustError, ServerRefusedError
from federation.device.store import PhoneStore
from federation.protocol import model_codec as codec
from federation.protocol.policy import PhonePolicy
from federation.protocol.trust import Anchors
from federation.secure_aggregation.errors import PlanRefusedError
from federation.secure_aggregation.identity import verifies
from model.layout import FlatVector


class ModelSource:
    """Keeps a device's copy of the model that its server trains.

    Args:
        store: of the device.
        connection: to the server.
        anchors: what the app brings.
        policy: how far models may be from each other.
        shipped: returns the weights that the app came with; needed if the policy has bounds.
        admits: raises PlanRefusedError for weights that the app does not want, and UnreachableError to be asked again.
    """

    def __init__(
        self,
        store: PhoneStore,
        connection: Connection,
        anchors: Anchors,
        policy: PhonePolicy,
        shipped: Callable[[], FlatVector] | None,
        admits: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        if policy.bounds_models and shipped is None:
            raise ValueError("a policy that bounds models needs the weights that the app came with")
        self._store = store
        self._connection = connection
        self._version = anchors.version
        self._downloads = Downloads(store, connection, "model", 4 * anchors.dimension)
        self._policy = policy
        self._shipped = shipped
        self._admits = admits
        self._refused: dict[str, str] = {}

    def follow(self, server_key: bytes) -> None:
        """Keep the model that the server trains now, if it is newer than the one that is here.

        Raises:
            DistrustError: the server did not sign it.
            PlanRefusedError: see `fetched`.
            UnreachableError: the server does not answer, or its answer cannot be read.
        """
        try:
            told = ModelFacts.from_bytes(self._connection.get("/v1/models/current", what="model version"))
        except ServerRefusedError:
            return
        if told.version <= self._store.model_version and self._downloads.has(told.sha256):
            return
        if not verifies(server_key, told.signature, codec.signed_part(told.version, told.sha256)):
            raise DistrustError("the model's signature is not the server's: it was not taken")
        self._store.keep_model(self.fetched(told.sha256, told.version, None), told.version)

    def fetched(self, sha256: str, version: int, round_id: int | None) -> bytes:
        """Return the model with a hash: the one that is here, or what it takes to come to it.

        Raises:
            PlanRefusedError: it is farther from the one before or from the app's than rounds can have moved it, or the
                app does not want it; it is neither kept nor fetched again.
            ServerRefusedError, UnreachableError: see `Connection.download`, or what came is not that model.
        """
        kept = self._store.model()
        if kept is not None and codec.sha256(kept) == sha256:
            return kept
        if sha256 in self._refused:
            raise PlanRefusedError(self._refused[sha256])
        weights = self._downloads.fetched(sha256, round_id)
        try:
            self._admit(weights, version, kept)
        except PlanRefusedError as error:
            self._refused[sha256] = str(error)
            raise
        self._store.keep_model(weights, version)
        return weights

    def _admit(self, weights: bytes, version: int, before: bytes | None) -> None:
        """Refuse a model that was not made by rounds of the models before it, or that the app does not want."""
        if self._policy.bounds_models and self._shipped is not None:
            self._check_distances(weights, version, before, self._shipped())
        self._admits(weights)

    def _check_distances(self, weights: bytes, version: int, before: bytes | None, shipped_weights: FlatVector) -> None:
        new = codec.from_bytes(weights).astype(np.float64)
        shipped = float(np.linalg.norm(new - shipped_weights))
        self._policy.check_distance(shipped, abs(version - self._version), of_app=True)
        if before is not None and self._store.model_version:
            moved = float(np.linalg.norm(new - codec.from_bytes(before)))
            self._policy.check_distance(moved, abs(version - self._store.model_version), of_app=False)
