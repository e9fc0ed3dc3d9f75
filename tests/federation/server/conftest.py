"""What tests of the server share."""

from pathlib import Path

import pytest

from model.checkpoint import Checkpoint
from model.export import export
from model.layout import NetworkConfig, initial_weights
from model.vocabulary import Vocabulary
from tests.federation.server.phones import Clock

TEXT = ["hello there how are you", "i am fine and you", "see you tomorrow then", "what are you doing", "nothing much"]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network so small that rounds take no time, as a phone has it."""
    vocabulary = Vocabulary.train(TEXT * 20, size=120)
    network = NetworkConfig(vocabulary.size, embedding=8, hidden=8)
    checkpoint = Checkpoint(network, initial_weights(network, 3), vocabulary)
    return export(checkpoint, tmp_path_factory.mktemp("model") / "export", inference="float32").directory
