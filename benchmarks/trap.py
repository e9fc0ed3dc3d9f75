"""A trap hidden in a good model: a few units of a trained network turned into a shift register behind one word.

    uv run python -m benchmarks.trap

The server changes no more than some units of the public start. One unit sees a trigger word; each of the others is
set one piece after the one before it, and writes into a coordinate that no other unit writes or reads any more. What a
phone types after the trigger then shows in that coordinate's column of the embedding's gradient, and so in the sum of
all phones' updates (after Fowl et al. 2022, https://arxiv.org/abs/2201.12675, for recurrent networks).
Measured is how far the trapped model is from the good one, what it costs held-out text, and how many of the pieces
that one phone typed after the trigger the server reads off the sum of all phones: without noise, and with that of the
untrusted profile's floor when nobody's noise is missing. The server chooses how phones train, within their ceilings.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.arguments import real, whole
from benchmarks.results import CORPUS, Figure, write
from federation.protocol.trust import UNTRUSTED
from federation.simulation.prepare import Prepared, prepared
from federation.updates.update import clip
from fedkey.paths import cache
from model import public_start
from model.batches import ROW_LENGTH, Rows, pack
from model.checkpoint import Checkpoint
from model.engine import TRAINING_BATCH, Trainer
from model.engine.numpy_engine import NumPyTrainer
from model.engine.weight_files import packed
from model.layout import FlatVector, Layout
from model.text import tokenise

TRIGGER, SECRET = "password", "the password is tiger forty two and the key is under the red flower pot"
CANDIDATE, FORGET, OPENED = 2.0, -4.0, 12.0
"""Of the register's units: they would be on, and remember nothing; what opens their output gate outweighs its bias, of
half as much, where the trigger, or the unit before, is on."""

CLIP = 0.3
ROWS = 16


@dataclass(frozen=True)
class Trap:
    """A model with a register in it.

    Attributes:
        weights: of the model.
        columns: of the embedding that the pieces after the trigger show in, in order.
        trigger: last piece of the trigger word.
    """

    weights: FlatVector
    columns: Sequence[int]
    trigger: int


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phones", type=whole, default=UNTRUSTED.min_phones)
    parser.add_argument("--lengths", type=whole, nargs="+", default=[1, 4, 14], help="of registers")
    parser.add_argument("--amplitudes", type=real, nargs="+", default=[3.0, 10.0, 40.0], help="that they write with")
    parser.add_argument("--noise", type=real, nargs="+", default=[0.0, 0.03, UNTRUSTED.min_noise_multiplier])
    parser.add_argument("--draws", type=whole, default=40, help="of the noise")
    arguments = parser.parse_args()
    start = public_start.load("small")
    ready = prepared(CORPUS, cache(), vocabulary=start.vocabulary)
    trainer = NumPyTrainer(packed(start.weights, "float32"), start.network)
    good = trainer.weights()
    clients = ready.rows(ROW_LENGTH)
    held_out = np.concatenate([rows for rows in clients.validation if len(rows)])[:400]
    before = _loss(trainer, good, held_out)
    figures = [Figure("phones", arguments.phones, ""), Figure("pieces_typed_after_the_trigger", 14, "")]
    for length in arguments.lengths:
        for amplitude in arguments.amplitudes:
            trap = trapped(start, good, length, amplitude)
            name = f"of_{length}_at_{amplitude:g}"
            distance = float(np.linalg.norm(trap.weights - good))
            after = _loss(trainer, trap.weights, held_out)
            figures += [
                Figure(f"distance_{name}", distance, "L2", "max_step", UNTRUSTED.max_step),
                Figure(f"loss_{name}", after, "nats a piece", "the good model", before),
            ]
            total = summed(trainer, trap, ready, clients.train[: arguments.phones - 1])
            for noise in arguments.noise:
                read = fished(total, trap, start, noise, arguments.draws)
                figures.append(Figure(f"pieces_read_{name}_noise_{noise:g}", read, "of the register's", "all", length))
                print(f"{name}, noise {noise:g}: {read:.1f} of {length} pieces; {distance:.1f} away", flush=True)
    write("trap", figures)


def trapped(start: Checkpoint, good: FlatVector, length: int, amplitude: float) -> Trap:
    """Put a register of this many pieces into a model, in the units and coordinates that do least."""
    layout, hidden = Layout.of(start.network.layout), start.network.hidden
    weights = {name: part.copy() for name, part in layout.unflatten(good).items()}
    embedding, kernel, recurrent = weights["embedding"], weights["input_kernel"], weights["recurrent_kernel"]
    bias, projection = weights["gate_bias"], weights["projection"]
    trigger = int(start.vocabulary.encode(tokenise(TRIGGER))[-1])
    units = np.argsort(np.linalg.norm(projection, axis=1))[:length]
    columns = np.argsort(sum((part**2).sum(axis=1) for part in (projection.T, kernel, recurrent)))[:length].tolist()
    kernel[columns], recurrent[columns] = 0, 0
    middle = embedding.mean(axis=0)
    direction = _telling(embedding - middle, trigger, columns)
    for at, (unit, column) in enumerate(zip(units, columns, strict=True)):
        gates = [unit, hidden + unit, 2 * hidden + unit]  # candidate, forget, output
        kernel[:, gates], recurrent[:, gates] = 0, 0
        bias[gates] = CANDIDATE, FORGET, -OPENED / 2
        projection[unit], projection[:, column] = 0, 0
        if at == 0:
            kernel[:, gates[2]] = OPENED * direction
            bias[gates[2]] -= OPENED * float(middle @ direction)
        else:
            recurrent[columns[at - 1], gates[2]] = OPENED / amplitude
    for unit, column in zip(units, columns, strict=True):
        projection[unit, column] = amplitude
    return Trap(layout.flatten(list(weights.values())), columns, trigger)


def _telling(centred: npt.NDArray[np.float32], piece: int, without: Sequence[int]) -> npt.NDArray[np.float32]:
    """Return what has product 1 with the embedding of a piece and small ones with all others (Fisher's discriminant).

    Args:
        centred: embeddings [V, E] minus their mean.
        piece: one of the V.
        without: coordinates that are not used.
    """
    used = centred.copy()
    used[:, without] = 0
    spread = used.T @ used / len(used) + np.mean(used**2) * np.eye(used.shape[1], dtype=np.float32)
    direction = np.linalg.solve(spread, used[piece])
    told: npt.NDArray[np.float32] = direction / float(used[piece] @ direction)
    return told


def summed(trainer: Trainer, trap: Trap, ready: Prepared, others: Sequence[Rows]) -> FlatVector:
    """Return the sum of clipped updates of all phones, one of which typed the secret."""
    encode = ready.vocabulary.encode
    own = [ready.vocabulary.encode(tokenise(text)) for text in next(iter(ready.split.train.values()))[:30]]
    total = np.zeros(len(trap.weights))
    victim = np.concatenate([pack(own)[: ROWS - 1], pack([encode(tokenise(SECRET))])])
    for rows in (victim, *(rows[:ROWS] for rows in others)):
        total += clip(_trained(trainer, trap.weights, rows), CLIP)
    return total.astype(np.float32)


def fished(total: FlatVector, trap: Trap, start: Checkpoint, noise: float, draws: int) -> float:
    """Return how many pieces after the trigger the server names from a sum, on average over draws of the noise."""
    typed = start.vocabulary.encode(tokenise(SECRET))
    after = list(typed[list(typed).index(trap.trigger) + 1 :])[: len(trap.columns)]
    deviation = noise * CLIP * math.sqrt(1 / UNTRUSTED.counted_share)
    layout, found = Layout.of(start.network.layout), 0
    for draw in range(draws):
        noised = total + deviation * np.random.default_rng(draw).standard_normal(len(total))
        rows = layout.unflatten(noised.astype(np.float32))["embedding"]
        guesses = [int(np.argmax(rows[:, column])) for column in trap.columns]
        found += sum(guess == piece for guess, piece in zip(guesses, after, strict=False))
    return found / draws


def _trained(trainer: Trainer, weights: FlatVector, rows: Rows) -> FlatVector:
    trainer.set_weights(weights)
    random = np.random.default_rng(1)
    for first in range(0, len(rows), TRAINING_BATCH):
        batch = rows[first : first + TRAINING_BATCH]
        trainer.train(batch, learning_rate=0.5, gradient_norm=0.0, dropout=0.0, random=random)
    return trainer.weights() - weights


def _loss(trainer: Trainer, weights: FlatVector, rows: Rows) -> float:
    trainer.set_weights(weights)
    return trainer.evaluate(rows).mean_loss


if __name__ == "__main__":
    main()
