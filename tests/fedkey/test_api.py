"""The public API: what `import fedkey` promises."""

import subprocess
import sys

import pytest

import fedkey


@pytest.mark.parametrize("name", fedkey.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(fedkey, name) is not None


def test_what_dir_shows_is_what_star_imports() -> None:
    assert dir(fedkey) == sorted(fedkey.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        _ = fedkey.nothing_of_ours


def test_the_version_is_the_packages() -> None:
    assert fedkey.__version__.count(".") == 2


def test_importing_it_and_the_phones_names_loads_neither_tensorflow_nor_flask_nor_kivy() -> None:
    code = (
        "import sys, fedkey; fedkey.Suggester, fedkey.DeviceClient, fedkey.RoundPlan;"
        "print(sorted({'tensorflow', 'tensorflow_federated', 'flask', 'kivy'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
