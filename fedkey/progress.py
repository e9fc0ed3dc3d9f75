"""Progress on a terminal; plain lines where there is none."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from federation.simulation.report import RoundReport, Watcher
from fedkey.cli.output import is_quiet

_PLAIN_SECONDS = 15.0


@contextmanager
def words_bar(what: str, words: int) -> Iterator[Callable[[int], None]]:
    """Show a bar that fills as words are judged."""
    with Progress(transient=True, disable=is_quiet()) as bar:
        task = bar.add_task(what, total=words)
        yield lambda done: bar.advance(task, done)


def megabytes(count: int) -> str:
    """Return this many bytes for people."""
    return f"{count / 1e6:.2f} MB"


class TrainingProgress:
    """A bar for the warm start and one for the rounds, as a context manager.

    Args:
        rounds: of the run.
        done: rounds of it that earlier calls have done.
    """

    def __init__(self, rounds: int, done: int = 0) -> None:
        self._rounds, self._done = rounds, done
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
        )
        self._warm_start_task: TaskID | None = None
        self._rounds_task: TaskID | None = None
        self._validation = ""
        self._printed = 0.0

    def __enter__(self) -> Self:
        if self._bar.console.is_terminal and not is_quiet():
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar.console.is_terminal:
            self._bar.stop()

    @property
    def watcher(self) -> Watcher:
        """Callbacks for a run."""
        return Watcher(self._warm_start, self._round)

    def _warm_start(self, step: int, steps: int, loss: float) -> None:
        if self._warm_start_task is None:
            self._warm_start_task = self._bar.add_task("warm start on public text", total=steps, figures="")
        self._show(self._warm_start_task, step, steps, f"loss {loss:.3f}")

    def _round(self, report: RoundReport) -> None:
        if self._rounds_task is None:
            self._rounds_task = self._bar.add_task("rounds", total=self._rounds, completed=self._done, figures="")
        if report.validation is not None:
            self._validation = (
                f"  on later messages: loss {report.validation.totals.mean_loss:.3f}, "
                f"recall {100 * report.validation.totals.accuracy:.1f} %"
            )
        figures = (
            f"loss {report.training.mean_loss:.3f}, recall {100 * report.training.accuracy:.1f} % a piece, "
            f"{report.clients / report.seconds:.1f} clients/s{self._validation}"
        )
        self._show(self._rounds_task, report.number, self._rounds, figures)

    def _show(self, task: TaskID, done: int, total: int, figures: str) -> None:
        self._bar.update(task, completed=done, figures=figures)
        if is_quiet():
            return
        if not self._bar.console.is_terminal and (time.monotonic() - self._printed > _PLAIN_SECONDS or done == total):
            self._printed = time.monotonic()
            self._bar.console.print(
                f"{self._bar.tasks[task].description}: {done} of {total}, {figures}", soft_wrap=True
            )
