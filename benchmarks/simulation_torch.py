"""The same local training in PyTorch by hand and through pfl, measured; runs under a Python without this project.

    python simulation_torch.py INPUT.npz OUTPUT.npz

The input has the weights (`weight_0` to `weight_5`, in layout order), the rows of each client (`rows_0` and so on,
int32 [rows, length + 1]), the ids `pad` and `boundary`, and the numbers `learning_rate`, `gradient_norm`, `batch_rows`.
pfl simulates one round of its federated averaging over all of these clients. The output has milliseconds of CPU a
client (`torch`, `pfl`), and the weights of the first client after its training (`torch_0` to `pfl_5`).
"""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch  # type: ignore[import-not-found]
from pfl.aggregate.simulate import SimulatedBackend  # type: ignore[import-not-found]
from pfl.aggregate.weighting import WeightByDatapoints  # type: ignore[import-not-found]
from pfl.algorithm.base import NNAlgorithmParams  # type: ignore[import-not-found]
from pfl.algorithm.federated_averaging import FederatedAveraging  # type: ignore[import-not-found]
from pfl.common_types import Population  # type: ignore[import-not-found]
from pfl.context import CentralContext  # type: ignore[import-not-found]
from pfl.data.dataset import Dataset  # type: ignore[import-not-found]
from pfl.data.federated_dataset import FederatedDataset  # type: ignore[import-not-found]
from pfl.hyperparam.base import NNTrainHyperParams  # type: ignore[import-not-found]
from pfl.model.pytorch import PyTorchModel  # type: ignore[import-not-found]
from torch.nn import functional  # type: ignore[import-not-found]

Given = Mapping[str, Any]


class Network(torch.nn.Module):  # type: ignore[misc]
    """The coupled input-forget LSTM with tied embeddings, as in `model.network`.

    Args:
        given: the input.
    """

    def __init__(self, given: Given) -> None:
        super().__init__()
        self.weights = torch.nn.ParameterList([torch.nn.Parameter(torch.tensor(each)) for each in _weights(given)])
        self._pad, self._boundary = int(given["pad"]), int(given["boundary"])

    def loss(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy of the targets of rows, int64 [batch, length + 1]."""
        embedding, output_bias, input_kernel, recurrent_kernel, gate_bias, projection = self.weights
        hidden, width = projection.shape
        inputs, targets = rows.T[:-1], rows.T[1:]
        projected = functional.embedding(inputs, embedding) @ input_kernel + gate_bias
        keep = (inputs != self._boundary).float().unsqueeze(2)
        cell, output = torch.zeros(len(rows), hidden), torch.zeros(len(rows), width)
        outputs = []
        for gates_in, kept in zip(projected.unbind(), keep.unbind(), strict=True):
            gates = torch.addmm(gates_in, output * kept, recurrent_kernel)
            candidate = torch.tanh(gates[:, :hidden])
            forget, out = torch.sigmoid(gates[:, hidden:]).chunk(2, dim=1)
            cell = candidate + forget * (cell * kept - candidate)
            output = (out * torch.tanh(cell)) @ projection
            outputs.append(output)
        wanted = targets != self._pad
        logits = torch.addmm(output_bias, torch.stack(outputs)[wanted], embedding.T)
        return functional.cross_entropy(logits, targets[wanted])

    def metrics(self, *_: object) -> dict[str, object]:
        """Return nothing: pfl asks for it, and is not told to evaluate."""
        return {}


def _weights(given: Given) -> list[Any]:
    return [given[f"weight_{number}"] for number in range(6)]


def by_torch(given: Given, clients: list[torch.Tensor]) -> Callable[[], list[Any]]:
    """Return the training of all clients by hand, which returns the weights of the first."""
    network, begin = Network(given), [torch.tensor(each) for each in _weights(given)]
    values, norm = list(network.weights), float(given["gradient_norm"])
    optimizer = torch.optim.SGD(values, lr=float(given["learning_rate"]))

    def train(rows: torch.Tensor) -> None:
        with torch.no_grad():
            for value, first in zip(values, begin, strict=True):
                value.copy_(first)
        for batch in rows.split(int(given["batch_rows"])):
            optimizer.zero_grad(set_to_none=True)
            network.loss(batch).backward()
            if norm:
                torch.nn.utils.clip_grad_norm_(values, norm)
            optimizer.step()

    def run() -> list[Any]:
        first: list[Any] = []
        for rows in clients:
            train(rows)
            first = first or [value.detach().numpy().copy() for value in values]
        return first

    return run


def by_pfl(given: Given, clients: list[torch.Tensor]) -> Callable[[], list[Any]]:
    """Return a round of pfl's federated averaging, which returns the weights plus the clients' mean difference."""
    network = Network(given)
    model = PyTorchModel(network, torch.optim.SGD, torch.optim.SGD(network.parameters(), lr=1.0))
    turn = iter(range(sys.maxsize))
    dataset = FederatedDataset(
        lambda user: Dataset((clients[user],), user_id=str(user)), lambda: next(turn) % len(clients)
    )
    backend = SimulatedBackend(dataset, dataset, postprocessors=[WeightByDatapoints()])
    context = CentralContext(
        current_central_iteration=0,
        do_evaluation=False,
        cohort_size=len(clients),
        population=Population.TRAIN,
        algorithm_params=NNAlgorithmParams(1, 1, len(clients), 0),
        model_train_params=NNTrainHyperParams(
            local_batch_size=int(given["batch_rows"]),
            local_num_epochs=1,
            local_learning_rate=float(given["learning_rate"]),
            local_max_grad_norm=float(given["gradient_norm"]) or None,
        ),
    )

    def run() -> list[Any]:
        summed, _ = backend.gather_results(model, FederatedAveraging(), central_context=context)
        summed.average()
        return [begin + summed[name].numpy() for begin, name in zip(_weights(given), model.variable_map, strict=True)]

    return run


def main() -> None:
    """Measure both."""
    torch.set_num_threads(1)
    with np.load(sys.argv[1]) as file:
        given = dict(file)
    count = sum(name.startswith("rows_") for name in given)
    clients = [torch.tensor(given[f"rows_{number}"], dtype=torch.int64) for number in range(count)]
    measured: dict[str, Any] = {}
    for name, make in (("torch", by_torch), ("pfl", by_pfl)):
        for number, value in enumerate(make(given, clients[:1])()):
            measured[f"{name}_{number}"] = value
        run = make(given, clients)
        run()
        began = time.process_time()
        run()
        measured[name] = (time.process_time() - began) * 1e3 / count
    np.savez(sys.argv[2], **measured)


if __name__ == "__main__":
    main()
