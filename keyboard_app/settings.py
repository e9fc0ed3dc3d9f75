"""What the owner of a phone can choose."""

from dataclasses import dataclass

from model.languages import layouts
from model.suggestions import Autocorrection
from model.wording import in_words

NO_LIMIT = 1 << 20
"""Of rounds: more than there ever are."""


@dataclass(frozen=True)
class Settings:
    """The owner's choices.

    Attributes:
        consent: Whether the owner agreed to learning, here and together; None before the question was answered.
        learn_here: Whether this phone learns for itself without consent to learning together.
        autocorrection: `off`, `cautious` or `eager`.
        suggestions: Whether the strip shows any.
        theme: `light` or `dark`.
        contrast: Whether colours are as far apart as they can be.
        text_scale: By how much letters are larger than usual, 1 to 1.5.
        layout: Of the letters, by its name in `model/languages/layouts.toml`; nothing for that of the language.
        second_layout: That a key changes to and back from; nothing for none.
        number_row: Whether digits have a row of their own.
        one_handed: `left` or `right` keeps the keys on that side; nothing spreads them.
        key_height: By how much keys are higher than usual, 0.8 to 1.3.
        charging, idle, unmetered: Simulated switches of a desktop.
        epsilon_limit: Privacy budget over all rounds; infinite for none.
        incognito: Whether learning is paused.
        rest_seconds: Time after the last key press from which on the phone counts as idle, in seconds.
        min_examples: Minimum number of new messages to join a round with.
        min_phones: Minimum number of phones in a round to join it.
        max_rounds_per_message: Maximum number of rounds that one message is trained on in.
        max_rounds_per_week: Maximum number of rounds in seven days that something is sent in; an app may ask for fewer.
    """

    consent: bool | None = None
    learn_here: bool = False
    autocorrection: str = Autocorrection.EAGER.value
    suggestions: bool = True
    theme: str = "light"
    contrast: bool = False
    text_scale: float = 1.0
    layout: str = ""
    second_layout: str = ""
    number_row: bool = False
    one_handed: str = ""
    key_height: float = 1.0
    charging: bool = True
    idle: bool = True
    unmetered: bool = True
    epsilon_limit: float = float("inf")
    incognito: bool = False
    rest_seconds: float = 10.0
    min_examples: int = 100
    min_phones: int = 5
    max_rounds_per_message: int = 10
    max_rounds_per_week: int = NO_LIMIT

    def __post_init__(self) -> None:
        switches = (
            self.charging, self.idle, self.unmetered, self.incognito, self.learn_here, self.suggestions, self.contrast,
            self.number_row,
        )  # fmt: skip
        if not {self.layout, self.second_layout} <= {"", *layouts()} or self.one_handed not in {"", "left", "right"}:
            raise ValueError(f"there are no such settings: {in_words(self)}")
        if not (1 <= self.text_scale <= 1.5 and 0.8 <= self.key_height <= 1.3):
            raise ValueError(f"there are no such settings: {in_words(self)}")
        if self.autocorrection not in {strength.value for strength in Autocorrection}:
            raise ValueError(f"there are no such settings: {in_words(self)}")
        if self.theme not in {"light", "dark"} or self.consent not in {None, True, False}:
            raise ValueError(f"there are no such settings: {in_words(self)}")
        if not all(isinstance(switch, bool) for switch in switches) or not self.epsilon_limit >= 0:
            raise ValueError(f"there are no such settings: {in_words(self)}")
        limits = (self.max_rounds_per_message, self.max_rounds_per_week)
        if not all(type(limit) is int and limit >= 1 for limit in limits):
            raise ValueError(f"there are no such settings: {in_words(self)}")
        if min(self.rest_seconds, self.min_examples) < 0 or self.min_phones < 2:
            raise ValueError(f"there are no such settings: {in_words(self)}")

    @property
    def learns(self) -> bool:
        """Whether this phone learns from what is typed: for itself alone, or together with others."""
        return self.consent is True or self.learn_here
