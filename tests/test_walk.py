"""One typed word, from key presses on three phones to the suggestions of a fourth, through the real parts in order.

A round server with its database, and the enrolment service, answer in this process. Only two things are the test's:
time, and that training runs here and not in a process aside. To read along: docs/architecture.md.
"""

from pathlib import Path
from typing import Any

import numpy as np

from federation.protocol.training_settings import TrainingSettings
from federation.server.settings import RoundSettings
from federation.updates.update import Update, clip
from keyboard_app.editor.keys import Layer, page
from keyboard_app.participation import Participation
from keyboard_app.phone import Phone
from keyboard_app.profile import Profile, SimulatedConditions
from keyboard_app.settings import Settings
from keyboard_app.typing.learner import Learner
from keyboard_app.typing.training_texts import TrainingTexts
from model.checkpoint import Checkpoint
from model.export import export
from model.layout import NetworkConfig, initial_weights
from model.text import tokenise
from model.vocabulary import Vocabulary
from tests.federation.server.http import URL, Site
from tests.federation.server.phones import Clock
from tests.keyboard_app.test_participation import Network

PUBLIC_TEXT = ["hello there how are you", "i am fine and you", "see you tomorrow then", "what are you doing", "nothing"]
KEYS = {key.types: key for key in page(Layer.LETTERS)}
ROUNDS = RoundSettings(goal=3, minimum=3, over_selection=1.0, clip=2.0, training=TrainingSettings(epochs=4))


class Owner:
    """Somebody who agreed, and whose phone lies there charging."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.conditions = SimulatedConditions(lambda: settings, lambda: -np.inf, clock)

    def show(self) -> None:
        """Nobody looks at the screen."""


def test_a_word_typed_on_three_phones_is_likelier_on_a_fourth(tmp_path: Path) -> None:
    # Every phone comes with the same network, which has learned nothing yet, and a vocabulary of public text.
    vocabulary = Vocabulary.train(PUBLIC_TEXT * 20, size=120)
    network = NetworkConfig(vocabulary.size, embedding=16, hidden=24)
    start = Checkpoint(network, initial_weights(network, 3), vocabulary)
    app = export(start, tmp_path / "app", version=1)

    # EDITOR: three people press keys. LOG: what they send is sealed in their phones' vaults.
    clock = Clock()
    phones = []
    for name in ("ada", "ben", "cleo", "dia"):
        profile = Profile.named(name, tmp_path)
        profile.keep(Settings(consent=True, rest_seconds=0, min_examples=3, min_phones=3))
        phones.append(Phone(profile, model=app.directory, clock=clock, monotonic=clock))
        assert phones[-1].settle()
    learners: list[Learner] = [phone._learner for phone in phones]
    texts = [TrainingTexts(learner) for learner in learners]
    for phone in phones[:3]:
        for letter in 9 * "are you tomorrow\n":
            phone.session.send() if letter == "\n" else phone.session.press(KEYS[letter])
            assert phone.settle()
    assert [own.new_examples for own in texts] == [9, 9, 9, 0]
    assert {text.strip().lower() for text in texts[0].training_texts(max_messages=100, max_rounds=10)} == {
        "are you tomorrow"
    }

    # TRAINING: in a round, each phone trains on its log and returns how its weights changed.
    done: list[Any] = []

    def here(_: object, work: Any, *arguments: Any) -> Any:
        done.append(work(*arguments))
        return done[-1]

    # ENCODE, MASK, HTTP: updates are clipped, rounded to integers, masked and sent; the phones enrol by themselves.
    site = Site(tmp_path, app.directory, clock, ROUNDS)
    http = Network(site)
    devices = []
    for phone, learner, own in zip(phones, learners, texts, strict=True):
        assert learner.models is not None
        parts = (phone._profile.device, learner.models, Owner(phone.settings, clock), own)
        devices.append(Participation(URL, *parts, trust=site.trust(), transport=http, clock=clock, run=here))
    before = likely(learners[3])
    while not all(learner.models and learner.models.of("model").in_use == 2 for learner in learners):
        assert clock.now < 1_010_000, (site.story, [device.activity for device in devices])
        clock.now += max(0.1, min(device.step() for device in devices)) * (not site.coordinator.tick())
    updates = [work for work in done if isinstance(work, Update)]
    assert len(updates) == 3
    assert not any(b"tomorrow" in body.lower() for body in http.bodies)

    # SUM: the server unmasked nothing but the sum. OPTIMIZER: it stepped along the mean. MODEL: that is version 2.
    models = site.installation.models
    examples = np.array([update.tally.examples for update in updates])
    mean = examples @ np.stack([clip(update.delta, ROUNDS.clip) for update in updates]) / examples.sum()
    stepped = site.installation.settings.optimizer.optimizer.apply(models.state(1), mean.astype(np.float32))
    step, error = stepped.weights - models.state(1).weights, stepped.weights - models.state(2).weights
    assert np.linalg.norm(error) < 0.04 * np.linalg.norm(step)  # it is rounded at random before it is masked

    # PHONE: Dia, who never typed the word, has the new model, and finds it likelier where the others wrote it.
    assert phones[3].settle()
    assert likely(learners[3]) > 1.5 * before
    for phone, device in zip(phones, devices, strict=True):
        device.end()
        phone.close()


def likely(learner: Learner) -> float:
    """Return how likely the shared model that a phone has in use finds `tomorrow` after `are you`."""
    assert learner.models is not None
    model = learner.models.next_words()
    return float(model.probabilities(tokenise("are you"))[model.words.index("tomorrow")])
