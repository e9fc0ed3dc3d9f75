"""Who moves rounds on: opens them, closes their steps, turns sums into models.

Every worker has a coordinator; a lease in the database lets one act at a time. That saves work and does not carry the
guarantee: each change is one transaction that first looks whether the round still stands where the change begins, so
two coordinators would do nothing twice either.
"""

from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.protocol.credentials import Revocations
from federation.protocol.steps import Step
from federation.robustness import PieceRows
from federation.rounds.server_optimizers import ServerOptimizer
from federation.secure_aggregation import Authority
from federation.server.coordinator.closing import Closing
from federation.server.coordinator.finishing import Finishing, SimulatedClients
from federation.server.coordinator.lease import Lease
from federation.server.coordinator.opening import Opening
from federation.server.counting import Counting
from federation.server.defence import Defence, Probe
from federation.server.errors import UnknownError
from federation.server.models import Gate, Models
from federation.server.queries import active
from federation.server.retention import Retention
from federation.server.round_state import RoundState
from federation.server.session_events import pseudonyms
from federation.server.settings import RoundSettings
from federation.server.store import Blobs, Database
from federation.server.tables import RoundRow

__all__ = ["Coordinator", "SimulatedClients"]

_SWEEP_SECONDS = 600.0


class Coordinator:
    """Moves rounds on.

    Args:
        database: of the server.
        blobs: where masked vectors are.
        models: what rounds train.
        key: of the round server, signs plans.
        authority: whose devices take part.
        settings: of the rounds that are opened.
        optimizer: turns mean deltas into models.
        gate: judges new models.
        clock: seconds since 1970.
        noise_mark: file that tells how far the server's noise has come, apart from the database.
        simulated_clients: simulated clients, if there are any.
        probe: measures models for the defence, if there is one that asks for it.
        counting: counting rounds, if there are any.
        retention: removes what is too old, now and then.
        revocations: the authority's list of revoked devices, read for every round.
        pieces: where the rows of pieces lie in what rounds train, for the defence.

    Raises:
        ConfigError: the defence measures models, but there is nothing that could.
    """

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        models: Models,
        key: Ed25519PrivateKey,
        authority: Authority,
        settings: RoundSettings,
        optimizer: ServerOptimizer,
        gate: Gate,
        clock: Callable[[], float],
        noise_mark: Path,
        simulated_clients: SimulatedClients | None = None,
        probe: Probe | None = None,
        counting: Counting | None = None,
        retention: Retention | None = None,
        revocations: Callable[[], Revocations] = Revocations,
        pieces: PieceRows | None = None,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._settings = settings
        self._clock = clock
        self._lease = Lease(database, clock)
        self._opening = Opening(database, models, key, settings, clock, noise_mark, counting, blobs, revocations)
        self._closing = Closing(database, settings, clock)
        self._finishing = Finishing(
            database,
            blobs,
            models,
            authority,
            settings,
            optimizer,
            gate,
            Defence(settings.defence, probe, pseudonyms(key), pieces),
            clock,
            noise_mark,
            simulated_clients,
            counting,
            pseudonyms(key),
        )
        self._retention = retention
        self._sweeps = 0.0

    def tick(self) -> bool:
        """Do what is due, if this coordinator has the lease; return whether anything was."""
        if not self._lease.held():
            return False
        acted = self._advance()
        if self._retention is not None and self._is_time_to_sweep:
            self._retention.sweep()
        if acted or self._is_time_to_sweep:
            self._sweep()
        return acted

    @property
    def _is_time_to_sweep(self) -> bool:
        """Whether a while has passed, or the clock was set back."""
        return not self._sweeps - _SWEEP_SECONDS <= self._clock() < self._sweeps

    def _advance(self) -> bool:
        """Take the next step of the round that is running, or open one; return whether there was something to do."""
        with self._database.read() as session:
            row = active(session)
            state = None if row is None else self._closing.state(session, row)
        if row is None or state is None:
            return self._opening.open()
        if not state.is_over(self._clock()):
            return False
        if state.step is Step.UNMASK and state.going_on:
            self._finish(row, state)
        else:
            self._closing.close(row.round_id, state.step)
        return True

    def _finish(self, row: RoundRow, state: RoundState) -> None:
        """Finish a round, or find that what it was made of is gone, since another coordinator has finished it."""
        try:
            self._finishing.finish(row, state)
        except UnknownError:
            with self._database.read() as session:
                running = active(session)
            if running is not None and running.round_id == row.round_id:
                raise

    def _sweep(self) -> None:
        """Remove masked vectors of rounds that are over, also those that a killed process or a late phone left."""
        folders = self._blobs.list("rounds")  # first, so that none of a round that is opened meanwhile is in it
        with self._database.read() as session:
            running = active(session)
        for folder in folders:
            if running is None or folder != str(running.round_id):
                self._blobs.remove(f"rounds/{folder}")
        self._sweeps = self._clock() + _SWEEP_SECONDS
