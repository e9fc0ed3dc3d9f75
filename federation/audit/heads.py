"""What others saw of a server's log: heads that phones kept, and heads that an earlier audit wrote down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from federation.audit.report import AuditError, Report
from federation.device.database import DATABASE
from federation.device.store import PhoneStore
from federation.protocol.log import Edge, LogEntry, LogError, LogHead
from model import files

_MAX_HEAD_BYTES = 1 << 16
_DEVICE = "device"  # the store's folder within a keyboard's profile


@dataclass(frozen=True)
class SeenLog:
    """What somebody saw.

    Attributes:
        where: folder or file.
        instance: of the server's database.
        size, root: head of the log.
        given: rounds that a phone came to the end of, under this instance.
    """

    where: str
    instance: bytes
    size: int
    root: bytes
    given: frozenset[int] = field(default_factory=frozenset)


def seen_logs(path: Path, server_key: bytes) -> list[SeenLog]:
    """Return what a phone's folder, a keyboard's profile or the file of a head has; of a phone the latest instance.

    Raises:
        AuditError: it is none of these, or a head that another server signed.
    """
    for folder in (path, path / _DEVICE):
        if (folder / DATABASE).is_file():
            return _of_phone(folder)
    try:
        with files.regular(path).open("rb") as file:
            head = LogHead.from_signed(file.read(_MAX_HEAD_BYTES), server_key)
    except OSError as error:
        raise AuditError(f"{path} is neither a phone's folder nor the file of a head: {error.strerror}") from error
    except LogError as error:
        raise AuditError(f"{path}: {error}") from error
    return [SeenLog(str(path), head.instance, head.size, head.root)]


def _of_phone(folder: Path) -> list[SeenLog]:
    store = PhoneStore(folder)
    try:
        instance = store.instance
        if instance is None:
            return []
        edge, _ = store.log(f"log {instance.hex()}")
        if not edge:
            return []
        seen = Edge.from_bytes(edge)
        return [SeenLog(str(folder), instance, seen.size, seen.root, frozenset(store.rounds_given_to(instance)))]
    except ValueError as error:
        raise AuditError(f"what the phone in {folder} saw of the log is damaged") from error
    finally:
        store.close()


def compare(seen: Sequence[SeenLog], instance: bytes, roots: Sequence[bytes], report: Report) -> None:
    """Compare what others saw with a log and with each other.

    Args:
        seen: by others.
        instance: of the log.
        roots: heads of the log's first 0, 1, 2 and so on entries.
        report: of what does not hold.
    """
    first: dict[tuple[bytes, int], SeenLog] = {}
    for each in seen:
        other = first.setdefault((each.instance, each.size), each)
        if other.root != each.root:
            message = f"{other.where} and {each.where} were shown different logs of {each.size} entries"
            report.found("view", each.where, message)
        if each.instance != instance:
            message = "it saw the log of another instance: the server lost or restored its database, or shows two logs"
            report.found("view", each.where, message)
        elif each.size >= len(roots):
            message = f"it saw {each.size} entries, and there are {len(roots) - 1}: the log was cut, or this is another"
            report.found("view", each.where, message)
        elif roots[each.size] != each.root:
            message = f"its first {each.size} entries were others than these: the log was rewritten, or there are two"
            report.found("view", each.where, message)


def compare_rounds(
    seen: Sequence[SeenLog], instance: bytes, entries: Mapping[int, LogEntry], last: int, report: Report
) -> None:
    """Find rounds that have a phone's update and that the log does not count.

    Args:
        seen: by phones.
        instance: of the log.
        entries: of the log, by round.
        last: round that ended latest; what is later may still be running.
        report: of what does not hold.
    """
    for each in seen:
        if each.instance != instance:
            continue
        for number in sorted(each.given):
            missing = number not in entries or not entries[number].uploads
            if missing and number <= last:
                message = f"the phone in {each.where} sent an update to it, and the log counts none"
                report.found("account", f"round {number}", message)
