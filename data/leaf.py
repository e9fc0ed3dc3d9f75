"""LEAF's JSON (Caldas et al. 2018): `{"users": [...], "num_samples": [...], "user_data": {user: {"x": [...]}}}`.

`path` is one file or a folder of them. A sample is a string, or a list whose longest string is the text (Sentiment140),
or nested token lists (Reddit), which are joined.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from data.corpus import Corpus, CorpusError, Message

_REDDIT_MARKS = {"<PAD>", "<BOS>", "<EOS>"}


def load(path: Path) -> Corpus:
    """Read a LEAF file, or all `*.json` of a folder.

    Raises:
        CorpusError: naming the user whose samples are not of the format.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise CorpusError(path, "no .json file in this folder")
    return Corpus.from_messages(path.stem, (pair for file in files for pair in _messages(file)))


def _messages(path: Path) -> Iterator[tuple[str, Message]]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise CorpusError(path, f"not JSON: {error.msg}", error.lineno) from error
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(path, str(error)) from error
    if not isinstance(document, dict) or not isinstance(document.get("user_data"), dict):
        raise CorpusError(path, 'not LEAF: needs an object with "user_data"')
    for user, samples in document["user_data"].items():
        if not isinstance(samples, dict) or not isinstance(samples.get("x"), list):
            raise CorpusError(path, f'user {user!r} needs a list "x"')
        for number, sample in enumerate(samples["x"]):
            text = _text(sample)
            if text is None:
                raise CorpusError(path, f"sample {number} of user {user!r} holds no text")
            yield user, Message(text)


def _text(sample: object) -> str | None:
    if isinstance(sample, str):
        return sample
    if not isinstance(sample, list):
        return None
    if sample and all(isinstance(part, list) for part in sample):
        words = [word for part in sample for word in part]
        if all(isinstance(word, str) for word in words):
            return " ".join(word for word in words if word not in _REDDIT_MARKS)
        return None
    return max((part for part in sample if isinstance(part, str)), key=len, default=None)
