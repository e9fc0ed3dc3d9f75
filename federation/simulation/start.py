"""Where a run begins: at the public start, at a model of one's own, or at the public seed alone."""

from pathlib import Path

from data import public_text
from federation.simulation.config import PUBLIC, SEED, SimulationConfig
from federation.simulation.pretraining import extended
from model import public_start
from model.checkpoint import Checkpoint, CheckpointError


def start_of(config: SimulationConfig, directory: Path, *, restart: bool = False) -> Checkpoint | None:
    """Return the model that a run begins with; None if it trains one on the public seed.

    Args:
        config: of the run.
        directory: of the run; if it has begun there, what it began with is taken.
        restart: whether it begins again, so that it is not.

    Raises:
        CheckpointError: there is no such model, or it has another size.
        CorpusError: the public text that is to extend it cannot be read.
    """
    if config.start == SEED:
        return None
    begun = directory / "warm_start"
    if begun.exists() and not restart:
        return Checkpoint.load(begun)
    path = public_start.shipped() if config.start == PUBLIC else Path(config.start)
    if config.start == PUBLIC or public_start.is_start(path):
        start = public_start.load(config.size, path)
    else:
        start = Checkpoint.load(path)
    if not start.network.is_of(config.size):
        raise CheckpointError(f"the model in {path} is no {config.size} network: choose another --size or --start")
    if config.public:
        start = extended(start, public_text.load([Path(file) for file in config.public]), seed=config.seed)
    return start
