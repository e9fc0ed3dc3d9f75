"""Keyboard prediction that learns across phones without seeing what anyone types.

The public names below are loaded on first use, so that ``import fedkey`` costs nothing and works on a phone, which has
neither TensorFlow nor Flask::

    import fedkey

    split = fedkey.split(fedkey.load_corpus("chitchat"))         # users by role: public seed, clients, held out
    export = fedkey.Export.load(Path("phone"))                    # what `fedkey export` wrote
    model = fedkey.MixtureNextWords(export.predictor(), export.vocabulary, export.mixture)
    strip = fedkey.Suggester(model).suggest("see you ", "tom")   # three suggestions, best first
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data import Corpus, Split, split
    from data import load as load_corpus
    from federation.device import Connection, DeviceClient, LocalTraining, PhoneStore
    from federation.errors import ConfigError, FederationError
    from federation.fleet.scenario import Scenario
    from federation.protocol.plan import RoundPlan
    from federation.protocol.task import TrainingTask
    from federation.simulation.config import SimulationConfig
    from federation.simulation.evaluation import Evaluator
    from federation.simulation.run import Run
    from model.checkpoint import Checkpoint
    from model.engine import Export
    from model.next_words import MixtureNextWords
    from model.suggestions import PersonalModel, Suggester, Suggestion
    from model.vocabulary import Vocabulary

__all__ = [
    "Checkpoint",
    "ConfigError",
    "Connection",
    "Corpus",
    "DeviceClient",
    "Evaluator",
    "Export",
    "FederationError",
    "LocalTraining",
    "MixtureNextWords",
    "PersonalModel",
    "PhoneStore",
    "RoundPlan",
    "Run",
    "Scenario",
    "SimulationConfig",
    "Split",
    "Suggester",
    "Suggestion",
    "TrainingTask",
    "Vocabulary",
    "__version__",
    "load_corpus",
    "split",
]

_HOMES = {
    "Checkpoint": "model.checkpoint",
    "ConfigError": "federation.errors",
    "Connection": "federation.device",
    "Corpus": "data",
    "DeviceClient": "federation.device",
    "Evaluator": "federation.simulation.evaluation",
    "Export": "model.engine",
    "FederationError": "federation.errors",
    "LocalTraining": "federation.device",
    "MixtureNextWords": "model.next_words",
    "PersonalModel": "model.suggestions",
    "PhoneStore": "federation.device",
    "RoundPlan": "federation.protocol.plan",
    "Run": "federation.simulation.run",
    "Scenario": "federation.fleet.scenario",
    "SimulationConfig": "federation.simulation.config",
    "Split": "data",
    "Suggester": "model.suggestions",
    "Suggestion": "model.suggestions",
    "TrainingTask": "federation.protocol.task",
    "Vocabulary": "model.vocabulary",
    "load_corpus": "data",
    "split": "data",
}
_RENAMED = {"load_corpus": "load"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - takes longer than all else here

        return version("fedkey")
    if name not in _HOMES:
        raise AttributeError(f"module 'fedkey' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), _RENAMED.get(name, name))


def __dir__() -> list[str]:
    return __all__
