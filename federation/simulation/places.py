"""Where workers may be. TFF's protocol neither encrypts nor knows who is there: loopback, or a network of one's own."""

from collections.abc import Sequence

from federation.base.addresses import Address
from federation.errors import ConfigError

LOCAL = "local"
"""A worker that is started on this machine for as long as it is needed."""


def check_places(places: Sequence[str], *, allow_unauthenticated_network: bool) -> None:
    """Find out whether workers may be asked where a setting says.

    Raises:
        ConfigError: it names no place, or one on a network that was not declared safe.
    """
    if not places:
        raise ConfigError(f"workers names none: write {LOCAL}, or the address of one that `fedkey worker` started")
    for place in places:
        if place == LOCAL:
            continue
        address = Address.parse(place)
        if not (address.is_loopback or allow_unauthenticated_network):
            raise ConfigError(
                f"worker {address} is on a network, and TFF's protocol neither encrypts nor knows who is there: open a "
                f"tunnel (ssh -N -L {address.port}:127.0.0.1:{address.port} {address.host}) and name "
                f"127.0.0.1:{address.port}, or say --allow-unauthenticated-network if only machines of yours are on it"
            )


def check_listening(address: Address, *, allow_unauthenticated_network: bool) -> None:
    """Find out whether a worker may listen at an address.

    Raises:
        ConfigError: it is on a network that was not declared safe.
    """
    if not (address.is_loopback or allow_unauthenticated_network):
        raise ConfigError(
            f"at {address} whoever is on the network could have this machine compute anything, since TFF's protocol "
            "knows nobody: listen on 127.0.0.1 and have others come by a tunnel (ssh -N -L), or say "
            "--allow-unauthenticated-network if only machines of yours are on it"
        )
