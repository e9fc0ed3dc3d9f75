import configparser
import json
import os
import secrets
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keyboard_app.android.app import run_here
from keyboard_app.android.keys import SealedKeyStore
from keyboard_app.typing.vault import KEY_BYTES, FileKeyStore, KeyStore, Vault, VaultError
from model.engine import MANIFEST, Engine
from model.engine.exported import TRUST
from model.mixture import FILES as MIXTURE_FILES
from model.vocabulary import CANDIDATES, VOCABULARY_FILES

ROOT = Path(__file__).parents[3]
PYTHON_FOR_ANDROID = "python-for-android==2026.5.9"
COMPILED = {"cryptography", "kivy", "numpy", "python3", "pyjnius", "regex"}


class Sealer:
    """A keystore in memory."""

    def __init__(self) -> None:
        self._cipher = AESGCM(secrets.token_bytes(32))

    def seal(self, content: bytes) -> bytes:
        nonce = secrets.token_bytes(12)
        return nonce + self._cipher.encrypt(nonce, content, None)

    def unseal(self, sealed: bytes) -> bytes:
        return self._cipher.decrypt(sealed[:12], sealed[12:], None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "typing.key"


@pytest.fixture(params=["file", "sealed"])
def store(path: Path, request: pytest.FixtureRequest) -> KeyStore:
    return FileKeyStore(path) if request.param == "file" else SealedKeyStore(path, Sealer())


class TestKeyStores:
    def test_keep_what_was_saved_last(self, store: KeyStore) -> None:
        assert store.load() == ()
        keys = [secrets.token_bytes(KEY_BYTES) for _ in range(3)]
        store.save(keys[:2])
        store.save(keys)
        assert list(store.load()) == keys

    def test_say_that_a_file_is_damaged(self, store: KeyStore, path: Path) -> None:
        store.save([secrets.token_bytes(KEY_BYTES)])
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(VaultError, match=r"typing\.key"):
            store.load()

    def test_serve_a_vault(self, store: KeyStore, tmp_path: Path) -> None:
        vault = Vault(tmp_path / "vault", store)
        vault.append(1.0, b"a message")
        vault.forget_key()
        vault.close()
        assert [content for _, _, content in Vault(tmp_path / "vault", store).entries()] == [b"a message"]


def test_a_sealed_file_has_no_key_in_it_and_is_of_use_to_no_other_device(path: Path) -> None:
    key = secrets.token_bytes(KEY_BYTES)
    SealedKeyStore(path, Sealer()).save([key])
    assert key not in path.read_bytes()
    with pytest.raises(VaultError, match="cannot be opened by this device"):
        SealedKeyStore(path, Sealer()).load()


def test_work_that_is_left_alone_is_done_here() -> None:
    assert run_here(lambda: False, divmod, 7, 3) == (2, 1)
    with pytest.raises(ZeroDivisionError):
        run_here(lambda: False, divmod, 1, 0)


def test_work_that_is_to_stop_ends_the_process() -> None:
    code = (
        "import time; from keyboard_app.android.app import run_here; run_here(lambda: True, time.sleep, 60); print(1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=50)
    assert (done.returncode, done.stdout) == (0, "")


def specification() -> configparser.SectionProxy:
    read = configparser.ConfigParser()
    read.read(ROOT / "buildozer.spec")
    return read["app"]


def listed(name: str) -> Sequence[str]:
    return [each.strip() for each in specification()[name].split(",")]


def test_all_that_the_phone_needs_is_required() -> None:
    required = {requirement.partition("==")[0] for requirement in listed("requirements")}
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert set(needed) - {"click"} <= required  # the command line stays at home


def test_the_package_has_every_file_of_an_export() -> None:
    suffixes = tuple(f".{each}" for each in listed("source.include_exts"))
    networks = (Engine.NUMPY.training, Engine.NUMPY.inference)
    for name in (MANIFEST, TRUST, *networks, *VOCABULARY_FILES, CANDIDATES, *MIXTURE_FILES):
        assert name.endswith(suffixes), name


def test_the_package_has_every_module_that_it_imports(tmp_path: Path) -> None:
    suffixes = tuple(f".{each}" for each in listed("source.include_exts"))
    for pattern in listed("source.include_patterns"):
        for path in ROOT.glob(pattern if "*" not in pattern else pattern.replace("**", "**/*")):
            if path.is_file() and path.name.endswith(suffixes):
                target = tmp_path / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
    code = (
        "import sys\n"
        "absent = ['ai_edge_litert', 'click', 'flask', 'sentencepiece', 'tensorflow', 'fedkey']\n"
        "sys.modules.update(dict.fromkeys(absent))\n"
        "import main, service, keyboard_app.ui.app, keyboard_app.ui.pages, keyboard_app.participation\n"
        "import keyboard_app.long_work, federation.device, model.engine\n"
        "packages = ('keyboard_app', 'federation', 'model')\n"
        "own = [m.__file__ for n, m in sys.modules.items() if n.split('.')[0] in packages]\n"
        f"assert all(file.startswith({str(tmp_path)!r}) for file in own if file), own\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_python_for_android_accepts_the_requirements(tmp_path: Path) -> None:
    command = ["uv", "run", "--no-project", "--isolated", "--python", "3.11", "--with", PYTHON_FOR_ANDROID, "python"]
    script = Path(__file__).with_name("resolver.py")
    done = subprocess.run(
        [*command, script, *listed("requirements")], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found["recipes"]) >= COMPILED
    assert not set(found["modules"]) & COMPILED
    for name, (chosen, recipes) in found["recipes"].items():
        if name != "regex":  # whose recipe is older than the Python that it would be built for
            assert (chosen or "").lstrip("v") == (recipes or "").lstrip("v"), name
