"""A phone's processor computes what a desktop's does: Debian for arm64 under emulation, with the phone's install."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model.engine import Export
from tests.arm64.processor import ROOT, Processor
from tests.keyboard_app.conftest import checkpoint, exported  # noqa: F401 - pytest's way to share fixtures

EXACT = ("levels", "words", "stream", "public", "pieces")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_phones_processor_computes_what_a_desktops_does(exported: Export, tmp_path: Path) -> None:  # noqa: F811
    probe = ROOT / "tests/arm64/probe.py"
    command = [sys.executable, probe, exported.directory, tmp_path / "here.npz"]
    environment = {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    here = json.loads(done.stdout)
    there = json.loads(Processor().python(probe, exported.directory, tmp_path / "there.npz"))
    assert (here["machine"], there["machine"]) == ("x86_64", "aarch64")

    for ours, theirs in zip(here["strips"], there["strips"], strict=True):
        assert [word for word, _ in ours[0]] == [word for word, _ in theirs[0]]
        assert [share for _, share in ours[0]] == pytest.approx([share for _, share in theirs[0]], rel=1e-4)
        assert ours[1] == theirs[1]
    assert any(correction for _, correction in here["strips"])
    assert here["measured"]["after"][0] < here["measured"]["before"][0]
    for when in ("before", "after"):
        assert here["measured"][when] == pytest.approx(there["measured"][when], rel=1e-5)

    with np.load(tmp_path / "here.npz") as ours, np.load(tmp_path / "there.npz") as theirs:
        for name in EXACT:
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
        np.testing.assert_allclose(ours["rotated"], theirs["rotated"], rtol=1e-6)
        np.testing.assert_allclose(ours["weights"], theirs["weights"], atol=1e-5)
