"""Whether a shared model is let onto the phone: on the owner's own text it is not far worse than the app's own."""

from collections.abc import Callable, Sequence
from pathlib import Path

from federation.base import child_processes
from federation.device import UnreachableError
from federation.secure_aggregation.errors import PlanRefusedError
from keyboard_app import long_work
from keyboard_app.model_comparison import MAX_LOSS_RISE


def admit(
    weights: bytes, directory: Path, texts: Sequence[str], run: child_processes.Runner, should_stop: Callable[[], bool]
) -> None:
    """Look at a model before anything is done with it.

    Args:
        weights: of it.
        directory: of the exported network.
        texts: the owner's own, which were not trained on.
        run: what measures.
        should_stop: whether to leave it for later.

    Raises:
        PlanRefusedError: it is far worse, or cannot be used at all.
        UnreachableError: that could not be found out now.
    """
    try:
        rise = run(should_stop, long_work.loss_rise, directory, weights, texts)
    except ValueError as error:
        raise PlanRefusedError(f"the new shared model cannot be used: {error}") from error
    except (child_processes.InterruptedWorkError, OSError) as error:
        raise UnreachableError(f"the new shared model could not be compared yet: {error}") from error
    if rise is not None and not rise <= MAX_LOSS_RISE:
        raise PlanRefusedError(
            f"on your own text the new shared model costs {100 * rise:.0f} % more than the one that the app came with, "
            f"and {100 * MAX_LOSS_RISE:.0f} % is the limit: it was not taken, not trained on and not shown"
        )
