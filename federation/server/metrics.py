"""Metrics in Prometheus's format: requests as workers saw them, rounds as the database has them."""

import logging
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import sqlalchemy as sql
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest, values
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from federation.protocol.steps import STEPS
from federation.server.store import Database
from federation.server.tables import CounterRow, CurrentRow, DeviceRow, ModelRow, RoundRow

_LOG = logging.getLogger("fedkey.metrics")

_HOUR = 3600.0


class Metrics:
    """Of a server.

    With several workers, set PROMETHEUS_MULTIPROC_DIR to an empty folder before one is made: each worker then answers
    for all.

    Args:
        database: of the server.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, database: Database) -> None:
        # The library chooses at its import, when nobody has said yet that there are several workers.
        values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]
        self._has_room = True
        own = CollectorRegistry()
        self._requests = Histogram(
            "fedkey_request_seconds", "Time to answer a request.", ("route", "method", "status"), registry=own
        )
        self._refused = Counter(
            "fedkey_refused_devices", "Requests of devices that are not let in.", ("reason",), registry=own
        )
        self._registry = own
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            self._registry = CollectorRegistry()
            MultiProcessCollector(self._registry)  # type: ignore[no-untyped-call]
        self._registry.register(_OfDatabase(database))

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request."""
        with self._as_far_as_there_is_room():
            self._requests.labels(route, method, str(status)).observe(seconds)

    def refused(self, reason: str) -> None:
        """Count a request of a device that is not let in."""
        with self._as_far_as_there_is_room():
            self._refused.labels(reason).inc()

    def exposition(self) -> bytes:
        """Return all metrics."""
        return generate_latest(self._registry)

    @contextmanager
    def _as_far_as_there_is_room(self) -> Iterator[None]:
        """Leave out what cannot be counted: a request that was served must not fail over it."""
        try:
            yield
        except (OSError, IndexError, ValueError) as error:  # a file of the library's could not grow, now or earlier
            if self._has_room:
                _LOG.warning({"metrics": "some requests are not counted", "error": str(error)})
            self._has_room = False


class _OfDatabase(Collector):
    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> Iterable[Metric]:
        """Name nothing before there are tables."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Read the figures."""
        with self._database.read() as session:
            rounds = session.execute(sql.select(RoundRow.phase, sql.func.count()).group_by(RoundRow.phase)).all()
            events = session.execute(sql.select(CounterRow.kind, CounterRow.events, CounterRow.size_bytes)).all()
            seen = session.scalar(
                sql.select(sql.func.count()).select_from(DeviceRow).where(DeviceRow.last_seen >= time.time() - _HOUR)
            )
            models = session.execute(sql.select(ModelRow.status, sql.func.count()).group_by(ModelRow.status)).all()
            current = session.get(CurrentRow, 1)
        ended = CounterMetricFamily("fedkey_rounds", "Rounds that ended.", labels=("outcome",))
        running = GaugeMetricFamily("fedkey_rounds_running", "Rounds at a step.", labels=("step",))
        for phase, count in rounds:
            (running if phase in STEPS else ended).add_metric([phase], count)
        happened = CounterMetricFamily("fedkey_events", "Events in session trails.", labels=("event",))
        received = CounterMetricFamily("fedkey_received_bytes", "Bytes of accepted messages.", labels=("event",))
        for kind, count, size in events:
            happened.add_metric([kind], count)
            received.add_metric([kind], size)
        versions = GaugeMetricFamily("fedkey_models", "Versions of the model.", labels=("status",))
        for status, count in models:
            versions.add_metric([status], count)
        version = GaugeMetricFamily("fedkey_model_version", "The version that is trained.")
        if current is not None:
            version.add_metric([], current.version)
        devices = GaugeMetricFamily("fedkey_devices", "Devices that checked in within the hour.")
        devices.add_metric([], seen or 0)
        yield from (ended, running, happened, received, versions, version, devices)
