"""A counting round and rounds of training, of phones and simulated clients together, through a real server and HTTP."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from federation.base.child_processes import serving
from federation.errors import ConfigError, FederationError
from federation.fleet.enrolled_phones import enrolled_phones
from federation.fleet.headless import Fleet, HeadlessSettings
from federation.protocol.plan import Deadlines
from federation.protocol.training_settings import TrainingSettings
from federation.rounds.counting import CountingSettings
from federation.rounds.server_optimizers import OptimizerSettings
from federation.server.history import RoundSummary, rounds_of
from federation.server.installation import Installation
from federation.server.preparation import EXPORT, prepare
from federation.server.settings import RoundSettings, ServerSettings
from model.checkpoint import Checkpoint
from model.counted_lists import CountedLists
from model.engine.exported import TRUST
from model.export import export as write_export
from model.layout import Layout

_SIMULATED, _COUNTING = 20, 10_000  # clients that train in a round, and that count: all that a corpus has


def mixed_rounds(
    model: Checkpoint,
    out: Path,
    *,
    corpus: str,
    people: Sequence[Sequence[str]],
    rounds: int,
    texts: Sequence[str],
    show: Callable[[str], None],
) -> Checkpoint:
    """Count, then train, with headless phones and simulated clients in the same rounds; return the model after them.

    Args:
        model: Model to start from, with a public n-gram beside its network.
        out: Folder for the server, the authority and the phones; what an earlier call left there is removed.
        corpus: Name of the corpus whose clients are simulated.
        people: Messages that are typed on each of the headless phones.
        rounds: Number of rounds that train, after the one that counts.
        texts: Public text for the gate.
        show: Called with a line of the story at a time.

    Raises:
        ConfigError: the model has no n-gram to count with.
        FederationError: no phone can take part.
    """
    public = model.mixture.public
    if public is None:
        raise ConfigError("phones count n-grams of a public n-gram, and this model has none: choose another --start")
    export, server, authority = out / "phone-export", out / "server", out / "authority"
    for folder in (export, server, authority, out / "phones"):
        shutil.rmtree(folder, ignore_errors=True)
    exported = write_export(model, export, inference="int8")
    prepare(
        server,
        model=export,
        settings=_settings(len(people), rounds),
        public_text=lambda: texts,
        authority=authority,
    )
    command = ("serve", "--folder", server, "--authority", authority, "--workers", 1, "--admin-port", 0)
    show(f"\n{len(people)} phones and simulated clients in the same rounds, through a server; the first one counts:")
    simulated = ("--simulated-cohort", _SIMULATED, "--simulated-counting", _COUNTING, "--corpus", corpus)
    with serving(*command, *simulated, log=out / "server.log") as url:
        fleet = enrolled_phones(
            people,
            server=url,
            export=exported,
            authority=authority,
            out=out / "phones",
            settings=HeadlessSettings(),
            seed=1,
            trust=server / EXPORT / TRUST,
        )
        with Fleet(fleet, lambda *_: None) as living:
            installation = Installation.load(server)
            done = 0
            while done <= rounds:
                time.sleep(0.2)
                ended = [each for each in rounds_of(installation.database) if each.seconds is not None]
                for each in ended[done:]:
                    show(f"   {_told(each, counts=installation.settings.rounds.counting.counts_in(each.round_id))}")
                done = len(ended)
                if all(phone.problem for phone in fleet):
                    raise FederationError("; ".join(living.problems))
    for version in (*installation.counts.versions()[1:], *installation.models.versions()[1:]):
        loss, kind = version.metrics.get("gate_loss"), "counts" if version.round_id == 1 else "model"
        show(f"   {kind} {version.version}: {version.status}, loss on public text {loss:.4f}")
    return _after(model, installation, CountedLists.of(public, model.vocabulary))


def _told(each: RoundSummary, *, counts: bool) -> str:
    what = "counted" if counts else "trained"
    who = f"{each.phones} phones and {each.simulated} simulated clients"
    mine = each.bytes_up / max(each.phones, 1) / 1e6
    return f"round {each.round_id} {what}: {who}, {mine:.1f} MB up from a phone, {each.outcome} in {each.seconds:.0f} s"


def _after(model: Checkpoint, installation: Installation, lists: CountedLists) -> Checkpoint:
    """Return the model with the weights and counts that a server's rounds made."""
    weights = installation.models.state(installation.models.current_version()).weights
    counts = installation.counts.state(installation.counts.current_version()).weights
    mixture = lists.mixture(model.mixture, counts)
    trained = list(Layout.of(model.network.layout).unflatten(weights).values())
    return replace(model, weights=trained, mixture=mixture)


def _settings(phones: int, rounds: int) -> ServerSettings:
    """Return rounds without the pauses that a night has room for; the first of them, one more, counts."""
    return ServerSettings(
        optimizer=OptimizerSettings(name="sgd", learning_rate=0.3, momentum=0.0),
        rounds=RoundSettings(
            goal=max(5, phones - 2),
            minimum=5,
            over_selection=phones / max(5, phones - 2),
            weight_cap=128,
            counting=CountingSettings(every=rounds + 1),
            training=TrainingSettings(learning_rate=1.0),
            deadlines=Deadlines(60, 90, 180, 210, 240),
            separation_seconds=1,
            meeting_seconds=5,
            grace_seconds=5,
        ),
    )
