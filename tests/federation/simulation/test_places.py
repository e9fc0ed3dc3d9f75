import pytest

from federation.base.addresses import Address
from federation.errors import ConfigError
from federation.simulation.config import SimulationConfig
from federation.simulation.places import check_listening, check_places


@pytest.mark.parametrize("place", ["10.0.0.2:7070", "worker.example:7070", "[2001:db8::1]:7070", "0.0.0.0:7070"])
def test_workers_on_a_network_need_a_tunnel_or_a_word_for_it(place: str) -> None:
    with pytest.raises(ConfigError, match=r"neither encrypts nor knows.*ssh -N -L.*--allow-unauthenticated-network"):
        SimulationConfig(workers=("local", place))
    assert SimulationConfig(workers=("local", place), allow_unauthenticated_network=True).workers[1] == place


def test_workers_of_this_machine_need_nothing() -> None:
    check_places(
        ["local", "local", "127.0.0.1:7070", "localhost:7070", "[::1]:7070"], allow_unauthenticated_network=False
    )


@pytest.mark.parametrize("places", [[], [""], ["nearby"], ["local:"], ["local "]])
def test_what_is_no_place_is_refused(places: list[str]) -> None:
    with pytest.raises(ConfigError, match="write"):
        check_places(places, allow_unauthenticated_network=True)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.2", "worker.example"])
def test_a_worker_listens_on_loopback_unless_told(host: str) -> None:
    address = Address(host, 7070)
    with pytest.raises(ConfigError, match=r"could have this machine compute anything.*--allow-unauthenticated-network"):
        check_listening(address, allow_unauthenticated_network=False)
    check_listening(address, allow_unauthenticated_network=True)
    check_listening(Address("127.0.0.1", 7070), allow_unauthenticated_network=False)
