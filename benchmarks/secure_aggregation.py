"""Cost of secure aggregation beside Flower's SecAgg+ and beside what the machine's AES and memory allow.

    uv run python -m benchmarks.secure_aggregation

A phone's CPU time is that of all its steps with encoding, the server's that of all its steps with decoding; Flower's,
which quantises too, are measured in the same run in an environment of its own that this makes. The floor is the time
that the key streams and additions of the masks alone take at the speed of one tight loop; over it stand the protocol's
own steps, without encoding. With the floor of cryptography the key agreements, signature checks and hashes that the
protocol cannot do without count too, at the library's speed. With 200 phones Flower takes about an hour, so that is an
option.

    uv run python -m benchmarks.client_deltas deltas.npy
    uv run python -m benchmarks.secure_aggregation --deltas deltas.npy

measures, in place of all that, the error of the mean of real deltas in each encoding. The file is float32[clients,
parameters] as `.npy`, or `deltas` in an `.npz`.
"""

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from benchmarks.arguments import whole
from benchmarks.peer_environments import command, environment
from benchmarks.results import Figure, write
from federation.protocol.plan import Deadlines, RoundPlan
from federation.secure_aggregation import (
    Device,
    DeviceKey,
    EnrolmentAuthority,
    Vector,
    VectorFormat,
    groups,
    min_threshold,
)
from federation.secure_aggregation.masks import key_stream
from federation.secure_aggregation.phone import AdvertiseKeys
from federation.secure_aggregation.server import CollectAdvertisements
from federation.updates.encoding import Encoding, ModularEncoding, PackedEncoding, choose
from federation.updates.rotation import Rotation, padded
from federation.updates.update import Tally, Update

FLOWER = "flwr==1.41.0"
CLIP = 1.0
CHUNK_BYTES = 256 << 10

Deltas = npt.NDArray[np.float32]
Result = TypeVar("Result")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phones", type=whole, nargs="+", default=[10, 20, 50, 100, 200])
    parser.add_argument("--parameters", type=whole, default=1_404_000)
    parser.add_argument("--flower-up-to", type=whole, default=100, help="largest cohort of Flower; 0 leaves it out")
    parser.add_argument("--crowd", type=whole, default=1000, help="phones in groups; 0 leaves them out")
    parser.add_argument("--group", type=whole, default=100, help="phones in a group of the crowd")
    parser.add_argument("--deltas", type=Path, help="only the errors of the mean of these")
    arguments = parser.parse_args()
    if arguments.deltas is not None:
        write("secure_aggregation-errors", _errors(_load(arguments.deltas)))
        return
    parameters = arguments.parameters
    source = _synthetic(parameters)
    figures: list[Figure] = []
    speeds = _Speeds.measured()
    for phones in arguments.phones:
        figures += _cohort(phones, _plan(phones, source), source, speeds, flower=phones <= arguments.flower_up_to)
    if 100 in arguments.phones:
        plan = _plan(100, source)
        wide = replace(plan, encoding=PackedEncoding.for_clip(4, 100, plan.clip, parameters))
        figures += _cohort(100, wide, source, speeds, flower=False, suffix="_lane4")
    if arguments.crowd:
        figures += _crowd(arguments.crowd, arguments.group, source)
    write("secure_aggregation", figures)


def _load(path: Path) -> Deltas:
    loaded: Any = np.load(path)
    deltas: Deltas = loaded["deltas"] if path.suffix == ".npz" else loaded
    return deltas


def _synthetic(parameters: int) -> Deltas:
    """Heavy-tailed deltas that agree in part, a third of each zero: what the protocol costs does not depend on them."""
    random = np.random.default_rng(0)
    common = random.standard_t(3, parameters)
    deltas = (0.5 * common + random.standard_t(3, (4, parameters))) * (random.random((4, parameters)) > 0.3)
    unit: Deltas = (deltas / np.linalg.norm(deltas, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _plan(phones: int, deltas: Deltas) -> RoundPlan:
    """The plan of a round after others, whose mean delta was as long as that of `deltas`."""
    dimension = deltas.shape[1]
    clip = float(np.linalg.norm(deltas, axis=1).max())
    norm = float(np.linalg.norm(deltas.mean(axis=0)))
    return RoundPlan(
        round_id=1,
        model_sha256=bytes(32),
        dimension=dimension,
        encoding=choose(phones, clip, dimension, norm),
        clip=clip,
        weight_cap=1,
        rotation_seed=hashlib.sha256(b"rotation").digest(),
        minimum=3,
        deadlines=Deadlines(60, 120, 600, 660, 720),
    )


@dataclass
class _Costs:
    """What one session took.

    Attributes:
        phone_seconds: CPU time of each phone that stayed, in the protocol.
        encode_seconds: CPU time of each phone that stayed, before masking.
        server_seconds: CPU time in the protocol.
        decode_seconds: CPU time of the server afterwards.
        up_bytes: sent by a phone that stayed.
        down_bytes: received by a phone that stayed.
    """

    phone_seconds: dict[int, float] = field(default_factory=dict)
    encode_seconds: list[float] = field(default_factory=list)
    server_seconds: float = 0.0
    decode_seconds: float = 0.0
    up_bytes: int = 0
    down_bytes: int = 0

    def server(self, step: Callable[..., Result], *arguments: Any) -> Result:
        result, seconds = _timed(step, *arguments)
        self.server_seconds += seconds
        return result

    def phone(self, index: int, step: Callable[..., Result], *arguments: Any) -> Result:
        result, seconds = _timed(step, *arguments)
        self.phone_seconds[index] = self.phone_seconds.get(index, 0.0) + seconds
        return result


def _timed(step: Callable[..., Result], *arguments: Any) -> tuple[Result, float]:
    started = time.process_time()
    result = step(*arguments)
    return result, time.process_time() - started


_AUTHORITY = EnrolmentAuthority(Ed25519PrivateKey.generate())


def _device() -> Device:
    key = DeviceKey(os.urandom(16), Ed25519PrivateKey.generate())
    return Device(key, _AUTHORITY.certify(key.enrolment_request()))


def _session(plan: RoundPlan, devices: list[Device], dropped: int, deltas: Deltas) -> _Costs:
    """Run a session in which the first phones share keys and then drop out; check its sum."""
    costs = _Costs()
    authority = _AUTHORITY.authority
    phases: dict[int, Any] = {}
    server: Any = CollectAdvertisements(plan.session, authority)
    for index, device in enumerate(devices):
        message, phases[index] = costs.phone(index, AdvertiseKeys(plan.session, device, authority).advertise)
        costs.server(server.receive, message)
        costs.up_bytes = len(message)
    server = costs.server(server.close)
    roster = costs.server(lambda: server.roster_message)
    for index, phase in phases.items():
        message, phases[index] = costs.phone(index, phase.share, roster)
        costs.server(server.receive, message)
    costs.up_bytes += len(message)
    server = costs.server(server.close)
    total = plan.session.vector.zeros()
    for index in range(dropped):
        del phases[index], costs.phone_seconds[index]
    for index, phase in phases.items():
        inbox = costs.server(server.inbox_message, devices[index].key.device_id)
        opened = costs.phone(index, phase.open, inbox)
        update = Update(deltas[index % len(deltas)], Tally(1, 100, 300.0, 20))
        # A phone makes the rotation anew: what the plan keeps of it is for the server's groups.
        vector, seconds = _timed(lambda update=update: _fresh(plan).encode(update, os.urandom(32)))
        costs.encode_seconds.append(seconds)
        total.add(vector)
        message, phases[index] = costs.phone(index, opened.mask, vector)
        costs.server(server.receive, message)
    costs.up_bytes += len(message)
    server = costs.server(server.close)
    survivors = costs.server(lambda: server.survivors_message)
    for index, phase in phases.items():
        message, phases[index] = costs.phone(index, phase.confirm, survivors)
        costs.server(server.receive, message)
    costs.up_bytes += len(message)
    server = costs.server(server.close)
    signatures = costs.server(lambda: server.signatures_message)
    for index, phase in phases.items():
        message = costs.phone(index, phase.unmask, signatures)
        costs.server(server.receive, message)
    costs.up_bytes += len(message)
    costs.down_bytes = len(roster) + len(inbox) + len(survivors) + len(signatures)
    result = costs.server(server.close)
    if result.vector.to_bytes() != total.to_bytes():
        raise RuntimeError("the sum is wrong")
    _, costs.decode_seconds = _timed(_fresh(plan).decode, result.vector, len(phases))
    return costs


def _fresh(plan: RoundPlan) -> RoundPlan:
    return RoundPlan.from_bytes(plan.to_bytes())


def _cohort(
    phones: int, plan: RoundPlan, deltas: Deltas, speeds: "_Speeds", *, flower: bool, suffix: str = ""
) -> list[Figure]:
    parameters = deltas.shape[1]
    dropped = phones // 10
    devices = [_device() for _ in range(phones)]
    ours = {gone: _session(plan, devices, gone, deltas) for gone in (0, dropped)}
    theirs = {gone: _flower(phones, gone, parameters) if flower else {} for gone in (0, dropped)}
    phone = statistics.median(ours[0].phone_seconds.values())
    encode = statistics.median(ours[0].encode_seconds)
    layout = plan.session.vector
    left, threshold = phones - dropped, min_threshold(phones)
    dead_keys = left * dropped
    phone_floor = speeds.masks(layout, streams=phones, additions=phones)
    server_floor = speeds.masks(layout, streams=left + dead_keys, additions=2 * left + dead_keys)
    phone_keys = speeds.keys(agreements=2 * (phones - 1), checks=2 * phones + threshold, hashed_bytes=layout.nbytes)
    # Of advertisements, with their certificates, then of shares, uploads, confirmations and answers.
    checks = 3 * phones + 3 * left
    server_keys = speeds.keys(agreements=2 * phones + dead_keys, checks=checks, hashed_bytes=left * layout.nbytes)
    n, flower_name, floor_name = f"n{phones}{suffix}", "Flower SecAgg+", "key streams and additions of the masks"
    server = {gone: cost.server_seconds + cost.decode_seconds for gone, cost in ours.items()}
    server_protocol = ours[dropped].server_seconds
    up = ours[0].up_bytes
    figures = [
        Figure(f"client_cpu_s_{n}", phone + encode, "s", flower_name, theirs[0].get("client_s")),
        Figure(f"client_encoding_cpu_s_{n}", encode, "s"),
        Figure(f"server_cpu_s_{n}", server[0], "s", flower_name, theirs[0].get("server_s")),
        Figure(f"server_cpu_s_{n}_drop10", server[dropped], "s", flower_name, theirs[dropped].get("server_s")),
        Figure(f"upload_bytes_{n}", up, "B", flower_name, theirs[0].get("upload_bytes")),
        Figure(f"download_bytes_{n}", ours[0].down_bytes, "B"),
        Figure(f"upload_over_float32_{n}", up / (4 * parameters), "x", "float32", 1.0),
        Figure(f"client_over_floor_{n}", phone / phone_floor, "x", floor_name, 1.0),
        Figure(f"server_over_floor_{n}", server_protocol / server_floor, "x", floor_name, 1.0),
        Figure(f"client_over_cryptography_{n}", phone / (phone_floor + phone_keys), "x", "all cryptography", 1.0),
        Figure(
            f"server_over_cryptography_{n}",
            server_protocol / (server_floor + server_keys),
            "x",
            "all cryptography",
            1.0,
        ),
        Figure(f"client_floor_s_{n}", phone_floor, "s"),
        Figure(f"server_floor_s_{n}_drop10", server_floor, "s"),
    ]
    for figure in figures:
        print(f"{figure.figure}: {figure.value:.4g} {figure.unit}, {figure.reference_value}", flush=True)
    return figures


@dataclass(frozen=True)
class _Speeds:
    """What one core does in tight loops over chunks in its cache.

    Attributes:
        stream_seconds: for a byte of AES-256-CTR.
        addition_seconds: for a byte of integers added in place, by the size of the integer.
        hash_seconds: for a byte of SHA-256.
        agreement_seconds: for an X25519 exchange.
        check_seconds: for an Ed25519 signature.
    """

    stream_seconds: float
    addition_seconds: dict[int, float]
    hash_seconds: float
    agreement_seconds: float
    check_seconds: float

    @classmethod
    def measured(cls) -> "_Speeds":
        zeros, buffer = bytes(CHUNK_BYTES), memoryview(bytearray(CHUNK_BYTES))
        stream = key_stream(bytes(32))
        additions = {}
        for dtype in (np.uint8, np.uint16, np.uint64):
            left, right = (np.ones(CHUNK_BYTES // np.dtype(dtype).itemsize, dtype) for _ in range(2))
            additions[left.itemsize] = _best(np.add, left, right, left) / CHUNK_BYTES
        private, signing = X25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        return cls(
            _best(stream.update_into, zeros, buffer) / CHUNK_BYTES,
            additions,
            _best(hashlib.sha256, zeros) / CHUNK_BYTES,
            _best(private.exchange, X25519PrivateKey.generate().public_key()),
            _best(signing.public_key().verify, signing.sign(zeros[:100]), zeros[:100]),
        )

    def masks(self, layout: VectorFormat, *, streams: int, additions: int) -> float:
        return layout.nbytes * (streams * self.stream_seconds + additions * self.addition_seconds[layout.word_bytes])

    def keys(self, *, agreements: int, checks: int, hashed_bytes: int) -> float:
        signatures = agreements * self.agreement_seconds + checks * self.check_seconds
        return signatures + hashed_bytes * self.hash_seconds


def _best(step: Callable[..., Any], *arguments: Any) -> float:
    repeats = 200
    return min(_timed(lambda: [step(*arguments) for _ in range(repeats)])[1] for _ in range(5)) / repeats


def _crowd(phones: int, group: int, deltas: Deltas) -> list[Figure]:
    """More phones than one group has; groups one after the other, their sums added."""
    devices = {device.key.device_id: device for device in (_device() for _ in range(phones))}
    assigned = groups.assign(devices, bytes(32), group)
    plan = _plan(max(len(each) for each in assigned), deltas)
    costs = [_session(plan, [devices[each] for each in ids], len(ids) // 10, deltas) for ids in assigned]
    seconds = [each for cost in costs for each in cost.phone_seconds.values()]
    encoding = [each for cost in costs for each in cost.encode_seconds]
    return [
        Figure(f"crowd{phones}_groups", len(assigned), "groups"),
        Figure(f"crowd{phones}_client_cpu_s", statistics.median(seconds) + statistics.median(encoding), "s"),
        Figure(f"crowd{phones}_server_cpu_s_drop10", sum(c.server_seconds + c.decode_seconds for c in costs), "s"),
        Figure(f"crowd{phones}_peak_mb", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MB"),
    ]


def _flower(phones: int, dropped: int, parameters: int) -> dict[str, float]:
    """Measure Flower's round; makes its environment first if there is none."""
    python = environment(FLOWER) / "bin" / "python"
    theirs = command(python, "secure_aggregation_flower.py", [str(phones), str(dropped), str(parameters)])
    output = subprocess.run(theirs, check=True, stdout=subprocess.PIPE, text=True).stdout
    measured: dict[str, float] = json.loads(output.strip().splitlines()[-1])
    return measured


def _errors(deltas: Deltas) -> list[Figure]:
    """Normalised squared error of the mean of all deltas, encoded in each way, against the mean in floating point."""
    phones, dimension = deltas.shape
    clip = float(np.linalg.norm(deltas, axis=1).max())
    mean = deltas.astype(np.float64).mean(axis=0)
    norm = float(np.linalg.norm(mean))
    encodings: dict[str, Encoding] = {
        f"lane{p}": PackedEncoding.for_clip(p, phones, clip, dimension) for p in (4, 5, 6)
    }
    encodings |= {"wrap16": ModularEncoding.for_norm(16, phones, clip, dimension)}
    encodings |= {"wrap8": ModularEncoding.for_norm(8, phones, norm, dimension)}
    rotation = Rotation(hashlib.sha256(b"rotation").digest(), dimension)
    figures = []
    for name, encoding in encodings.items():
        total = VectorFormat(0, encoding.words(padded(dimension)), encoding.word_bytes).zeros()
        for delta in deltas:
            levels = encoding.quantise(rotation.apply(delta), os.urandom(32))
            total.add(Vector(total.counters, encoding.pack(levels)))
        levels = encoding.unpack(total.words, padded(dimension), phones)
        decoded = rotation.invert(encoding.dequantise(levels, phones)) / phones
        error = float(np.sum((decoded - mean) ** 2)) / norm**2
        figures.append(Figure(f"error_of_mean_{name}_n{phones}", error, "of the mean's square"))
    return figures


if __name__ == "__main__":
    main()
