from pathlib import Path

import pytest

from data.corpus import CorpusError
from federation.simulation import tff_corpora


def test_a_corpus_in_the_cache_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shakespeare.sqlite").touch()
    monkeypatch.setitem(tff_corpora.LOADERS, "shakespeare", None)
    assert tff_corpora.path_of("shakespeare", tmp_path) == tmp_path / "shakespeare.sqlite"


def test_a_download_is_kept_once_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(cache_dir: str) -> None:
        Path(cache_dir, "stackoverflow.sqlite").write_text("whole")

    monkeypatch.setitem(tff_corpora.LOADERS, "stackoverflow", load)
    assert tff_corpora.path_of("stackoverflow", tmp_path / "new").read_text() == "whole"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["stackoverflow.sqlite"]


def test_a_broken_download_leaves_nothing_and_says_where_the_file_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(cache_dir: str) -> None:
        Path(cache_dir, "stackoverflow.sqlite").write_text("ha")
        raise OSError("connection lost")

    monkeypatch.setitem(tff_corpora.LOADERS, "stackoverflow", load)
    with pytest.raises(CorpusError, match=r"connection lost.*put stackoverflow.sqlite into"):
        tff_corpora.path_of("stackoverflow", tmp_path)
    assert not list(tmp_path.iterdir())
