import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.base.addresses import Address, listen
from federation.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:7070", "127.0.0.1", 7070), ("a.example:1", "a.example", 1), ("[::1]:65535", "::1", 65535)],
)
def test_an_address_is_read_and_written_alike(text: str, host: str, port: int) -> None:
    assert Address.parse(text) == Address(host, port)
    assert str(Address(host, port)) == text


@pytest.mark.parametrize(
    "text", ["", "host", ":7070", "host:", "host:0", "host:65536", "host:-1", "host:²", "::1:7070", "[host]:1", "a b:1"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no address: write"):
        Address.parse(text)


@given(st.text())
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = Address.parse(text)
    except ConfigError:
        return
    assert Address.parse(str(address)) == address


def test_loopback_is_known_without_asking_anybody() -> None:
    for host in ("127.0.0.1", "127.8.9.1", "::1", "localhost"):
        assert Address(host, 1).is_loopback
    for host in ("0.0.0.0", "::", "10.0.0.1", "localhost.example", "worker"):
        assert not Address(host, 1).is_loopback


def test_an_address_that_is_taken_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(ConfigError, match="another program listens there: choose another --host or --port"):
            listen(address)
