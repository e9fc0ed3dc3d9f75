"""What a phone computes, on whatever processor this runs: probe.py ENGINE EXPORT OUT writes numbers to compare."""

import json
import platform
import sys
from pathlib import Path

import numpy as np

from federation.secure_aggregation import keys, masks
from federation.updates.encoding import choose
from federation.updates.rotation import Rotation
from model.batches import pack
from model.engine import Engine, Export
from model.next_words import MixtureNextWords
from model.suggestions import Suggester, split_word
from model.text import tokenise

TEXTS = ("", "hello ", "hello th", "how are yo", "see you tomorow", "i am fien", "what are you doi", "nothng", "then ")
MESSAGES = ("hello there how are you", "i am fine and you", "see you tomorrow then", "what are you doing") * 6
STEPS = 12

engine, folder, out = Engine[sys.argv[1]], Path(sys.argv[2]), Path(sys.argv[3])
export = Export.load(folder, engine)
suggester = Suggester(MixtureNextWords(export.predictor(), export.vocabulary, export.mixture))
strips, probabilities = [], []
for text in TEXTS:
    before, typed = split_word(text)
    correction = suggester.autocorrect(before, typed) if typed else None
    strip = suggester.suggest(before, typed)
    strips.append([[each.text for each in strip], correction and correction.text])
    probabilities += [each.probability for each in strip]

pieces = [export.vocabulary.encode(tokenise(text)) for text in MESSAGES]
rows, trainer = pack(pieces), export.trainer()
before_training = trainer.evaluate(rows)
random = np.random.default_rng(1)
for _ in range(STEPS):
    batch = rows[random.permutation(len(rows))[:8]]
    trainer.train(batch, learning_rate=0.5, gradient_norm=1.0, dropout=0.25, random=random)
after_training = trainer.evaluate(rows)

delta = np.random.default_rng(2).normal(0, 0.01, export.manifest.network.parameters).astype(np.float32)
seed = bytes(range(32))
rotated = Rotation(seed, len(delta)).apply(delta)
encoding = choose(10, 8.0, len(delta))
levels = encoding.quantise(rotated, seed)
stream = np.frombuffer(masks.key_stream(seed).update(bytes(1 << 16)), np.uint8)
np.savez(
    out,
    probabilities=probabilities,
    losses=[before_training.loss / before_training.targets, after_training.loss / after_training.targets],
    hits=[before_training.hits, after_training.hits],
    weights=trainer.weights(),
    rotated=rotated,
    levels=levels,
    words=encoding.pack(levels),
    stream=stream,
    public=np.frombuffer(keys.public_key(seed), np.uint8),
    pieces=np.concatenate([np.array(each) for each in pieces]),
)
print(json.dumps({"machine": platform.machine(), "strips": strips}))
