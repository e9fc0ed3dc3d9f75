import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from federation.base.addresses import Address, listen
from federation.errors import WorkerError
from federation.simulation import worker_process
from federation.simulation.workers import Workers

_PARENT = """
import sys
from federation.simulation.workers import Workers
with Workers() as workers:
    print(*workers.pids, flush=True)
    sys.stdin.read()
"""


@tff.tensorflow.computation(tf.int32)
def plus_one(x: tf.Tensor) -> tf.Tensor:
    return x + 1


@tff.tensorflow.computation(tf.int32)
@tf.function
def slowly_plus_one(x: tf.Tensor) -> tf.Tensor:
    matrix = tf.fill([400, 400], 1e-3)
    for _ in tf.range(600):
        matrix = tf.linalg.matmul(matrix, matrix)
    return x + 1 + tf.cast(tf.reduce_sum(matrix) * 0, tf.int32)


def tff_process(workers: Workers) -> psutil.Process:
    """TFF's own process of the first worker."""
    return psutil.Process(next(pid for pid in workers.pids if psutil.Process(pid).name() == "worker_binary"))


@pytest.fixture
def elsewhere() -> Iterator[tuple[Address, "subprocess.Popen[bytes]"]]:
    """A worker that nobody here started, as far as a simulation knows."""
    with listen(Address("127.0.0.1", 0)) as listener:
        address = Address("127.0.0.1", listener.getsockname()[1])
        process = worker_process.start(listener, threads=1)
    with process:
        yield address, process
        if process.stdin is not None:
            process.stdin.close()


def test_a_worker_computes_and_is_gone_afterwards() -> None:
    with Workers() as workers:
        pids = workers.pids
        assert plus_one(1) == 2
        assert len(pids) == 2
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_an_exception_stops_the_worker() -> None:
    pids = []

    def fail(workers: Workers) -> None:
        pids.extend(workers.pids)
        raise KeyError

    with pytest.raises(KeyError), Workers() as workers:
        fail(workers)
    assert pids
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_recycled_worker_is_another_process_that_computes_the_same() -> None:
    with Workers() as workers:
        before = workers.pids
        assert plus_one(1) == 2
        assert not workers.recycle_if_above(1 << 40)
        assert workers.recycle_if_above(1)
        assert not any(psutil.pid_exists(pid) for pid in before)
        assert plus_one(1) == 2


def test_nobody_but_its_starter_reaches_tffs_own_process() -> None:
    """It listens on every address there is; where it is, there is none but a loopback."""
    with Workers() as workers:
        inner = tff_process(workers)
        port = int(inner.cmdline()[1].removeprefix("--port="))
        listening = {c.laddr.port: c.laddr.ip for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
        assert port not in listening
        ours = [c for c in psutil.Process(workers.pids[0]).net_connections() if c.status == psutil.CONN_LISTEN]
        assert {c.laddr.ip for c in ours} == {"127.0.0.1"}
        assert Path(f"/proc/{inner.pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()


def test_a_connection_that_comes_when_a_worker_ends_is_no_failure() -> None:
    said: list[object] = []

    def relaying() -> list["asyncio.Task[object]"]:
        return [each for each in asyncio.all_tasks() if "_relay" in repr(each.get_coro())]

    async def ended_meanwhile(listener: socket.socket) -> None:
        worker = worker_process._WorkerProcess(listener, threads=1, limit_bytes=0)
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
        async with await asyncio.start_server(worker._accept, sock=listener):
            with socket.create_connection(listener.getsockname()):
                while not (relays := relaying()):  # noqa: ASYNC110 - asyncio's own work is waited for
                    await asyncio.sleep(0)
                for relay in relays:  # they have not begun
                    relay.cancel()
                await asyncio.wait(relays)
                await asyncio.sleep(0)

    with listen(Address("127.0.0.1", 0)) as listener:
        asyncio.run(ended_meanwhile(listener))
    assert not said


def test_parts_are_yielded_in_order_whoever_computes_them() -> None:
    with Workers(("local", "local")) as workers:
        assert list(workers.map(plus_one, range(11))) == list(range(1, 12))
        assert list(workers.map(plus_one, [])) == []
        assert len(workers.pids) == 4


def test_an_error_of_a_computation_is_no_loss_of_a_worker() -> None:
    @tff.tensorflow.computation(tf.int32)
    def reciprocal(x: tf.Tensor) -> tf.Tensor:
        with tf.control_dependencies([tf.debugging.assert_positive(x)]):
            return tf.identity(x)

    with Workers(("local", "local")) as workers:
        with pytest.raises(Exception, match="positive"):
            list(workers.map(reciprocal, [1, 2, -1, 3]))
        assert workers.repeated == 0
        assert list(workers.map(reciprocal, [1, 2])) == [1, 2]


@pytest.mark.parametrize("inner", [True, False], ids=["TFF's process", "the one around it"])
def test_what_a_killed_worker_was_at_is_done_again(inner: bool) -> None:
    with Workers() as workers:
        assert plus_one(1) == 2
        victim = tff_process(workers).pid if inner else workers.pids[0]
        killer = threading.Timer(0.5, lambda: os.kill(victim, signal.SIGKILL))
        killer.start()
        assert list(workers.map(slowly_plus_one, range(4))) == [1, 2, 3, 4]
        assert workers.repeated >= 1
        killer.join()


def test_a_worker_elsewhere_that_dies_is_replaced_by_one_here(
    elsewhere: tuple[Address, "subprocess.Popen[bytes]"],
) -> None:
    address, process = elsewhere
    with Workers([str(address)], answer_seconds=5.0) as workers:
        assert workers.pids == []
        assert plus_one(1) == 2
        process.kill()
        process.wait()
        assert list(workers.map(plus_one, range(3))) == [1, 2, 3]
        assert workers.repeated == 1
        assert workers.pids


def test_a_worker_that_does_not_answer_is_noticed(elsewhere: tuple[Address, "subprocess.Popen[bytes]"]) -> None:
    address, process = elsewhere
    stopped = psutil.Process(process.pid)
    with Workers([str(address)], answer_seconds=1.0) as workers:
        assert plus_one(1) == 2
        before = workers.repeated  # a machine that is busy may have lost it once already
        stopped.suspend()
        assert plus_one(1) == 2
        assert workers.repeated > before
        stopped.resume()


def test_an_address_without_a_worker_is_one_sentence() -> None:
    with listen(Address("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    places = Workers([f"127.0.0.1:{port}"], answer_seconds=0.5)
    with pytest.raises(WorkerError, match=f"127.0.0.1:{port} does not answer: start one there with `fedkey worker`"):
        places.__enter__()


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
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(psutil.pid_exists(pid) for pid in pids)
        os.kill(parent.pid, blow)
        parent.stdin.close()
        parent.wait(100)
    deadline = time.monotonic() + 60
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)
