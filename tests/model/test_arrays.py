"""Files of arrays that are damaged, something else, or claim more than there is."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from model import arrays
from model.wording import DAMAGE, fault


def claiming(shape: tuple[int, ...]) -> bytes:
    """Return a file of an array of a few bytes whose header says something else."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue() + bytes(64)


CLAIMS = [(1 << 60,), (1 << 40, 1 << 20), (1 << 34,), (1 << 62, 1 << 62), (17,)]


@pytest.mark.parametrize("shape", CLAIMS)
@pytest.mark.parametrize("mapped", [False, True])
def test_an_array_that_claims_too_much_is_damaged(shape: tuple[int, ...], mapped: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(claiming(shape))
    with pytest.raises(DAMAGE) as refused:
        arrays.array(path, mapped=mapped)
    assert isinstance(refused.value, Exception)
    assert fault(refused.value)


@pytest.mark.parametrize("shape", CLAIMS)
def test_so_is_one_in_an_archive(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("weights.npy", claiming(shape))
    with pytest.raises(DAMAGE), arrays.archive(path) as kept:
        kept["weights"]


def test_an_archive_that_unpacks_to_more_than_it_may_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, weights=np.zeros(1 << 18, np.float32))
    assert path.stat().st_size < 1 << 12
    with arrays.archive(path) as kept:
        assert kept["weights"].shape == (1 << 18,)
    with pytest.raises(ValueError, match="claims to be larger"), arrays.archive(path, 1 << 19):
        pass


def test_an_archive_that_is_as_large_as_what_is_in_it_is_read_however_large_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, weights=np.ones(1 << 18, np.float32))
    with arrays.archive(path, 1 << 19) as kept:
        assert kept["weights"].sum() == 1 << 18


def test_what_cannot_be_unpacked_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, weights=np.arange(1 << 12))
    content = bytearray(path.read_bytes())
    content[2000:2400] = bytes(range(200)) * 2
    path.write_bytes(content)
    with pytest.raises(DAMAGE), arrays.archive(path) as kept:
        kept["weights"]


def test_one_array_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.save(path.with_suffix(".npy"), np.zeros(3))
    path.with_suffix(".npy").rename(path)
    with pytest.raises(ValueError, match="one array"), arrays.archive(path):
        pass


def test_arrays_of_python_objects_are_not_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        arrays.array(path)
