"""What phones know of rounds, held against what a server published of them, for `benchmarks/faults.py`."""

import re
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx
import numpy as np
import sqlalchemy as sql
from sqlalchemy.orm import Session

from federation.device.running_round import Train
from federation.fleet.headless import TrainerPool
from federation.fleet.scenario import Device
from federation.protocol import model_codec as codec
from federation.protocol.steps import STEPS, Step
from federation.protocol.task import TrainingTask
from federation.server.installation import Installation
from federation.server.phases import Ended
from federation.server.round_state import RoundState, plan_of
from federation.server.tables import MessageRow, ModelRow, RoundRow
from federation.updates.update import Update, clip
from model.engine import Export

_MESSAGE = re.compile(rf"/v1/rounds/(\d+)/({'|'.join(STEPS)})")
_MAX_ERROR = 0.2
"""By which the number of times that an update counts may seem to be no whole number, as sums are rounded."""


@dataclass
class Ledger:
    """What the phones of a site know.

    Attributes:
        taken: Devices whose message of a round and step the server said to have stored.
        trained: Updates by the nonce of their task, with their devices.
        answers: Number of requests that were served.
        crashes: Requests that the server answered with 500.
    """

    taken: dict[tuple[int, Step], set[bytes]] = field(default_factory=dict)
    trained: dict[bytes, list[tuple[bytes, Update]]] = field(default_factory=dict)
    answers: int = 0
    crashes: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answered(self, device: bytes, path: str, status: int) -> None:
        """Note an answer to a device."""
        message = _MESSAGE.fullmatch(path)
        with self._lock:
            self.answers += status < 300
            if status == httpx.codes.INTERNAL_SERVER_ERROR:
                self.crashes.append(path)
            if message is not None and status == httpx.codes.NO_CONTENT:
                self.taken.setdefault((int(message[1]), Step(message[2])), set()).add(device)

    def learned(self, device: bytes, nonce: bytes, update: Update) -> None:
        """Note what a device trained for a task."""
        with self._lock:
            self.trained.setdefault(nonce, []).append((device, update))


class WatchedTransport(httpx.HTTPTransport):
    """Carries requests and tells of the answers' statuses.

    Args:
        answered: is told the path and the status.
    """

    def __init__(self, answered: Callable[[str, int], None]) -> None:
        super().__init__()
        self._answered = answered

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one."""
        response = super().handle_request(request)
        self._answered(request.url.path, response.status_code)
        return response


class WatchedPool(TrainerPool):
    """A phone's trainer, which tells of its updates.

    Args:
        export: of the network.
        learned: is told the task's nonce and the update.
    """

    def __init__(self, export: Export, learned: Callable[[bytes, Update], None]) -> None:
        super().__init__(export)
        self._learned = learned

    def training(self, texts: Callable[[], Sequence[str]], device: Device) -> Train:
        """Return the phone's training."""
        train = super().training(texts, device)

        def told(weights: bytes, task: TrainingTask) -> Update:
            update = train(weights, task)
            self._learned(task.nonce, update)
            return update

        return told


def running_round(installation: Installation) -> int | None:
    """Return the round that is open, if there is one."""
    with installation.database.read() as session:
        found: int | None = session.scalar(sql.select(RoundRow.round_id).where(RoundRow.phase.in_(STEPS)))
        return found


def ended_after(installation: Installation, last: int) -> list[int]:
    """Return the rounds after one that have ended, oldest first."""
    with installation.database.read() as session:
        query = sql.select(RoundRow.round_id).where(RoundRow.round_id > last, RoundRow.phase.not_in(STEPS))
        return list(session.scalars(query.order_by(RoundRow.round_id)))


@dataclass(frozen=True)
class Checked:
    """A round that has ended.

    Attributes:
        round_id: of it.
        outcome: Its end, with the reason if there is one.
        uploads: that the server had stored, of groups that were not lost.
        problems: What is wrong with it.
    """

    round_id: int
    outcome: str
    uploads: int
    problems: Sequence[str]


def checked(installation: Installation, ledger: Ledger, round_id: int) -> Checked:
    """Hold a round that has ended against what phones know of it."""
    with installation.database.read() as session:
        row = session.get_one(RoundRow, round_id)
        stored: dict[Step, set[bytes]] = {step: set() for step in STEPS}
        messages = sql.select(MessageRow.step, MessageRow.device_id).where(MessageRow.round_id == round_id)
        for step, device in session.execute(messages):
            stored[Step(step)].add(device)
        models = list(session.scalars(sql.select(ModelRow).where(ModelRow.round_id == round_id)))
        uploads = stored[Step.UPLOAD]
        if row.phase == Ended.FINISHED:
            uploads &= _in_whole_groups(session, row)
    problems = [
        f"{len(lost)} messages of {step!r} that phones were told are stored are not"
        for step in STEPS
        if (lost := ledger.taken.get((round_id, step), set()) - stored[step])
    ]
    if row.ended is None:
        problems.append("it has ended and does not say when")
    if row.phase == Ended.FINISHED:
        problems += _published(installation, ledger, row, models, uploads)
    else:
        problems += [] if row.reason else ["it was abandoned without a reason"]
        problems += ["it was abandoned and made a model"] * bool(models)
    outcome = f"{row.phase}: {row.reason}" if row.reason else row.phase
    return Checked(round_id, outcome, len(uploads), problems)


def _in_whole_groups(session: Session, row: RoundRow) -> set[bytes]:
    """Return the devices of the groups of which enough phones took every step: without those nobody can unmask one."""
    state = RoundState.of(session, row)
    whole = (group for group in state.groups if all(group.has_enough(step, state.rules) for step in STEPS))
    return {device for group in whole for device in group.members}


def _published(
    installation: Installation, ledger: Ledger, row: RoundRow, models: Sequence[ModelRow], uploads: set[bytes]
) -> list[str]:
    """Return what is wrong with a round's published sum: each stored upload counts once, and nothing else."""
    if len(models) != 1:
        return [f"it finished and made {len(models)} models"]
    model, plan = models[0], plan_of(row)
    if model.metrics["phones"] != len(uploads):
        return [f"its sum has {model.metrics['phones']:g} phones, and {len(uploads)} uploads are stored"]
    trained = ledger.trained.get(TrainingTask.of_plan(row.task, plan).nonce, [])
    columns = [
        clip(update.delta, plan.clip).astype(np.float64) * min(update.tally.examples, plan.weight_cap)
        for _, update in trained
    ]
    total = codec.from_bytes(installation.blobs.get(model.mean)).astype(np.float64) * model.metrics["examples"]
    # Far fewer phones than coordinates: the sum says how often each update is in it.
    times = np.linalg.lstsq(np.stack(columns, axis=1), total, rcond=None)[0]
    error = float(np.abs(times - np.round(times)).max())
    if error > _MAX_ERROR:
        return [f"its sum is not one of what phones trained: an update counts {error:.2f} from a whole number of times"]
    counted: Counter[bytes] = Counter()
    for (device, _), often in zip(trained, np.round(times).astype(int), strict=True):
        counted[device] += int(often)
    wrong = {device for device in counted | dict.fromkeys(uploads) if counted[device] != (device in uploads)}
    return [f"{len(wrong)} phones do not count once for what was stored of them"] if wrong else []
