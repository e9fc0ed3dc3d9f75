"""What rounds learn from, and what becomes of it; for the thread of rounds."""

from collections.abc import Sequence

from federation.protocol.model_codec import SharedKind
from keyboard_app.typing.learner import Learner
from keyboard_app.typing.typing_log import Message
from keyboard_app.typing.vault import Vault

HELD_OUT = 5
"""One message of this many is kept out of training, to compare models on."""

_COMPARED = 200  # latest held-out messages


class TrainingTexts:
    """The messages of the log, some of which are held out.

    Args:
        learner: The thread of the log.
    """

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self._through = 0
        self._given: list[Message] = []

    @property
    def vault(self) -> Vault:
        """Where the owner's things are; another one after damage."""
        return self._learner.kept.vault

    @property
    def new_examples(self) -> int:
        """Number of messages since the last training."""
        return self._learner.learned.new_examples

    def training_texts(self, max_messages: int, max_rounds: int) -> Sequence[str]:
        """Return messages to train on that were in fewer rounds than `max_rounds`: new ones first."""
        log = self._learner.kept.log
        self._through = max((message.number for message in log.messages()), default=0)
        self._given = [message for message in log.for_round(max_rounds) if not _is_held_out(message)][:max_messages]
        return [message.text for message in self._given]

    def count_round(self) -> None:
        """Count one more round for what `training_texts` returned last: before anything that was learned leaves."""
        self._learner.kept.log.count_round(self._given)

    def held_out_texts(self) -> Sequence[str]:
        """Return the latest messages that are never trained on, oldest first."""
        return [message.text for message in self._learner.messages() if _is_held_out(message)][-_COMPARED:]

    def was_trained(self) -> None:
        """Count what `training_texts` returned last as old."""
        self._learner.kept.trained_through = self._through
        self._learner.count()

    def use_model(self, version: int, kind: SharedKind) -> None:
        """Predict with a version of the weights or counts from now on."""
        self._learner.use_model(version, kind)


def _is_held_out(message: Message) -> bool:
    return message.number % HELD_OUT == 0
