"""Secrets are in memory only: not in reprs, errors or pickles, and overwritten after use."""

import copy
import gc
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from federation.secure_aggregation.errors import OutOfOrderError, RefusedError, SecureAggregationError
from federation.secure_aggregation.keys import Secret
from tests.federation.secure_aggregation.cohort import DEVICES, Session, parameters

STEPS = ("advertise", "share", "open", "mask", "confirm", "unmask")


def _phases() -> Iterator[tuple[str, Any]]:
    """Phone 0 before each step, and the step's name."""
    session = Session(4, parameters())
    for step in STEPS:
        yield step, session.phones[0]
        if step == "open":
            session.open()
        elif step == "mask":
            for index, each in session.phones.items():
                message, session.phones[index] = each.mask(session.vectors[index])
                session.server.receive(message)
            session.server = session.server.close()
        else:
            getattr(session, step)()


def _secret_bytes(phase: Any) -> list[bytes]:
    return [bytes(secret) for secret in phase._secrets]


def test_phases_hold_secrets_until_they_are_left() -> None:
    held = [(step, phase, _secret_bytes(phase)) for step, phase in _phases()]
    assert [len(secrets) for _, _, secrets in held] == [0, 3, 1 + 2 + 3 + 3, 1 + 3 + 8, 8, 4]
    # After the session, every secret of every phase is wiped.
    for _, phase, _ in held:
        for secret in phase._secrets:
            with pytest.raises(OutOfOrderError):
                bytes(secret)


def test_secrets_shared_with_drop_outs_are_wiped_too() -> None:
    session = Session(4, parameters()).advertise()
    phases = [session.phones[0]]
    for step, who in [("share", [0, 1, 2]), ("open", None), ("mask", None), ("confirm", None), ("unmask", None)]:
        if step == "mask":
            for index, each in session.phones.items():
                message, session.phones[index] = each.mask(session.vectors[index])
                session.server.receive(message)
            session.server = session.server.close()
        else:
            getattr(session, step)(who)
        phases.append(session.phones[0])
    assert not any(secret._buffer for phase in phases for secret in phase._secrets)


def test_no_secret_is_in_a_repr_or_a_pickle() -> None:
    for _, phase in _phases():
        shown = repr(phase) + repr(vars(phase)) + repr([vars(part) for part in vars(phase).values() if _plain(part)])
        for secret in _secret_bytes(phase):
            assert secret.hex() not in shown
            assert repr(secret)[2:-1] not in shown
        for leave in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="memory"):
                leave(phase)


def _plain(part: object) -> bool:
    return hasattr(part, "__dict__") and type(part).__module__.startswith("federation.")


def test_no_secret_is_in_an_error() -> None:
    for step, phase in _phases():
        if step in {"advertise", "mask"}:
            continue
        secrets = _secret_bytes(phase)
        with pytest.raises(SecureAggregationError) as error:
            getattr(type(phase), step)(_copy_of(phase), b"\1" * 200)
        shown = repr(error.value) + str(error.value) + repr(vars(error.value))
        assert not any(secret.hex() in shown or repr(secret)[2:-1] in shown for secret in secrets)


def _copy_of(phase: Any) -> Any:
    """Another phase with copies of the secrets, that may fail without ending the session."""
    other = object.__new__(type(phase))
    other.__dict__.update(vars(phase) | {"_secrets": [Secret(bytes(secret)) for secret in phase._secrets]})
    return other


def test_a_refusal_wipes() -> None:
    session = Session(4, parameters()).advertise()
    phase = session.phones[0]
    with pytest.raises((RefusedError, SecureAggregationError)):
        phase.share(b"")
    for secret in phase._secrets:
        with pytest.raises(OutOfOrderError):
            bytes(secret)


def test_nothing_keeps_the_secrets_of_a_session_alive() -> None:
    def alive() -> int:
        gc.collect()
        return sum(isinstance(each, Secret) and len(each._buffer) > 0 for each in gc.get_objects())

    before = alive()
    session = Session(4, parameters()).advertise().share()
    assert alive() > before
    session.mask().confirm().unmask()
    assert alive() <= before


def test_a_device_does_not_show_its_key() -> None:
    device = DEVICES[0]
    private = device.key.private_key.private_bytes_raw()
    assert private.hex() not in repr(device)
    assert "PrivateKey" not in repr(device)
