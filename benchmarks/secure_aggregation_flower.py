"""One round of Flower's SecAgg+ in one process, measured; runs in an environment of its own, without this project.

    python secure_aggregation_flower.py PHONES DROPPED PARAMETERS

Flower's workflow drives Flower's client code through a grid that calls it directly, on a complete graph with a
threshold of two thirds, and in Flower's own settings otherwise. To spare time all clients but three leave out their
masks, which is nothing to the server: it regenerates and takes off the masks of all. Prints one line of JSON.
"""

import importlib
import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, Context, Error, Message, RecordDict  # type: ignore[import-not-found]
from flwr.common import Code, FitIns, FitRes, Status, ndarrays_to_parameters  # type: ignore[import-not-found]
from flwr.compat.common import recorddict_compat as compat  # type: ignore[import-not-found]
from flwr.server.compat.legacy_context import LegacyContext  # type: ignore[import-not-found]
from flwr.server.workflow import SecAggPlusWorkflow  # type: ignore[import-not-found]
from flwr.supercore.task_identity import TaskIdentity  # type: ignore[import-not-found]

# The package's attribute of this name is the function in it.
client: Any = importlib.import_module("flwr.client.mod.secure_aggregation.secaggplus_mod")

MEASURED = 3
CONFIGS = "secaggplus_configs"


class Proxy:
    """A client as Flower's strategies know it."""

    def __init__(self, node_id: int) -> None:
        self.node_id = node_id
        self.cid = str(node_id)


class Strategy:
    """Samples all clients and drops the result."""

    def __init__(self, phones: int, parameters: Any) -> None:
        self._phones = phones
        self._parameters = parameters
        self.aggregated = 0

    def configure_fit(self, _round: int, _parameters: Any, _manager: Any) -> list[tuple[Proxy, Any]]:
        """Every client fits the same parameters."""
        return [(Proxy(node), FitIns(self._parameters, {})) for node in range(1, self._phones + 1)]

    def aggregate_fit(self, _round: int, results: list[Any], _failures: list[Any]) -> tuple[None, dict[str, Any]]:
        """Count the results."""
        self.aggregated = len(results)
        return None, {}


class Manager:
    """Counts clients."""

    def __init__(self, count: int) -> None:
        self._count = count

    def num_available(self) -> int:
        """Return how many clients there are."""
        return self._count


class Grid:
    """Calls client code directly, and measures it."""

    def __init__(self, phones: int, dropped: int, parameters: int) -> None:
        self._contexts = {node: _context(node) for node in range(1, phones + 1)}
        self._dropped = range(1, dropped + 1)
        self._measured = range(dropped + 1, dropped + 1 + MEASURED)
        update = np.random.default_rng(0).normal(0, 0.01, parameters).astype(np.float32)
        self.update = ndarrays_to_parameters([update])
        self.client_seconds = 0.0
        self.upload_bytes = 0
        self.seconds_inside = 0.0

    def send_and_receive(self, messages: list[Any], *, timeout: float | None = None) -> list[Any]:  # noqa: ARG002
        """Return the clients' replies."""
        started = time.process_time()
        replies = [self._reply(message) for message in messages]
        self.seconds_inside += time.process_time() - started
        return replies

    def _reply(self, message: Any) -> Any:
        node = message.metadata.dst_node_id
        # Clients take the record apart that they are sent, and the server sends all the same object.
        config = ConfigRecord(dict(message.content.config_records[CONFIGS]))
        message.content = RecordDict(dict(message.content) | {CONFIGS: config})
        if node in self._dropped and config["stage"] == "collect_masked_vectors":
            return Message(Error(code=1, reason="dropped out"), reply_to=message)
        if node not in self._measured:
            with _without_masks():
                return client.secaggplus_mod(message, self._contexts[node], self._fit)
        started = time.process_time()
        reply = client.secaggplus_mod(message, self._contexts[node], self._fit)
        self.client_seconds += (time.process_time() - started) / MEASURED
        self.upload_bytes += _bytes_in(reply.content.config_records[CONFIGS]) // MEASURED
        return reply

    def _fit(self, message: Any, _context: Any) -> Any:
        result = FitRes(Status(Code.OK, ""), self.update, 100, {})
        return Message(compat.fitres_to_recorddict(result, keep_input=True), reply_to=message)


def _context(node: int) -> Any:
    return Context(run_id=1, node_id=node, node_config={}, state=RecordDict(), run_config={})


def _as_masked(vector: list[Any], _mask: Any) -> list[Any]:
    return [np.asarray(each, np.int64) for each in vector]


@contextmanager
def _without_masks() -> Iterator[None]:
    names = ("pseudo_rand_gen", "parameters_addition", "parameters_subtraction")
    originals = {name: getattr(client, name) for name in names}
    client.pseudo_rand_gen = lambda *_: None
    client.parameters_addition = client.parameters_subtraction = _as_masked
    try:
        yield
    finally:
        vars(client).update(originals)


def _bytes_in(record: Any) -> int:
    """Return the size of the byte strings and integers of a record, without their names."""
    values = [value if isinstance(value, list) else [value] for value in record.values()]
    return sum(len(each) if isinstance(each, bytes) else 8 for value in values for each in value)


def main() -> None:
    """Measure one round."""
    phones, dropped, parameters = (int(argument) for argument in sys.argv[1:])
    logging.disable(logging.INFO)
    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1
    grid = Grid(phones, dropped, parameters)
    strategy = Strategy(phones, grid.update)
    context = LegacyContext(_context(0), strategy=strategy, client_manager=Manager(phones))
    context.state.config_records["config"] = ConfigRecord({"current_round": 1})
    context.state.array_records["parameters"] = compat.parameters_to_arrayrecord(grid.update, keep_input=True)
    started = time.process_time()
    SecAggPlusWorkflow(num_shares=1.0, reconstruction_threshold=2 / 3, max_weight=1000.0)(grid, context)
    total = time.process_time() - started
    if strategy.aggregated != phones - dropped:
        raise SystemExit(f"Flower aggregated {strategy.aggregated} results, not {phones - dropped}")
    measured = {
        "client_s": grid.client_seconds,
        "server_s": total - grid.seconds_inside,
        "upload_bytes": grid.upload_bytes,
    }
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
