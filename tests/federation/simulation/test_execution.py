import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from federation.simulation.execution import Worker

_PARENT = """
import sys
from federation.simulation.execution import Worker
with Worker() as worker:
    print(worker.pid, flush=True)
    sys.stdin.read()
"""


@tff.tensorflow.computation(tf.int32)
def plus_one(x: tf.Tensor) -> tf.Tensor:
    return x + 1


def test_the_worker_computes_and_is_gone_afterwards() -> None:
    with Worker() as worker:
        pid = worker.pid
        assert plus_one(1) == 2
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)


def test_an_exception_stops_the_worker() -> None:
    pids = []

    def fail(worker: Worker) -> None:
        pids.append(worker.pid)
        raise KeyError

    with pytest.raises(KeyError), Worker() as worker:
        fail(worker)
    assert not psutil.pid_exists(pids[0])


def test_a_recycled_worker_is_another_process_that_computes_the_same() -> None:
    with Worker() as worker:
        before = worker.pid
        assert plus_one(1) == 2
        assert not worker.recycle_if_above(1 << 40)
        assert worker.recycle_if_above(1)
        assert worker.pid != before
        assert not psutil.pid_exists(before)
        assert plus_one(1) == 2


@pytest.mark.parametrize(
    "blow", [signal.SIGKILL, *(pytest.param(each, marks=pytest.mark.slow) for each in (signal.SIGINT, signal.SIGTERM))]
)
def test_no_orphan_is_left_however_the_parent_ends(blow: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    if parent.stdin is None or parent.stdout is None:
        pytest.fail("no pipes")
    with parent:
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        os.kill(parent.pid, blow)
        parent.stdin.close()
        parent.wait(20)
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
