"""LEAF's JSON (Caldas et al. 2018): `{"users": [...], "user_data": {user: {"x": [...], "y": [...]}}}` and more.

`path` is one file, a folder of them, or a data set's folder `data` with LEAF's `train` and `test` in it. A sample is

- a string (as in hand-made files);
- a list of strings as Sentiment140 has them: id, date, query, user, text and more: the fifth is the text;
- nested token lists (Reddit), which are joined;
- a window of characters (Shakespeare), of which each begins one character after the one before and `y` has the
  character that follows: what a user said is put together again, and cut into sentences.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from data.corpus import Corpus, CorpusError, Message
from model import files

_REDDIT_MARKS = {"<PAD>", "<BOS>", "<EOS>"}
_TWEET_TEXT = 4
_PARTS = ("train", "test")
_WHOLE = ("all_data", "sampled_data")
_SENTENCE = re.compile(r"(?<=[.?!])\s+")


def load(path: Path, *, max_users: int | None = None) -> Corpus:
    """Read a LEAF file, or all `*.json` of a folder; see the module.

    Raises:
        CorpusError: naming the user whose samples are not of the format.
    """
    files = _files(path)
    if not files:
        raise CorpusError(path, "no .json file in this folder, nor in the folders train and test in it")
    messages = (pair for file in files for pair in _messages(file))
    return Corpus.from_messages(_name(path), messages, max_users=max_users)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    here = sorted(path.glob("*.json"))
    if here:
        return here
    parts = [file for part in _PARTS for file in sorted((path / part).glob("*.json"))]
    return parts or next((found for part in _WHOLE if (found := sorted((path / part).glob("*.json")))), [])


def _name(path: Path) -> str:
    """Return the data set's name: LEAF's own folders are called data, train and so on in all of them."""
    names = [part for part in path.resolve().parts if part not in {"data", *_PARTS, *_WHOLE}]
    return path.stem if path.is_file() else names[-1]


def _messages(path: Path) -> Iterator[tuple[str, Message]]:
    try:
        document = json.loads(files.read_text(path, "utf-8-sig"))
    except json.JSONDecodeError as error:
        raise CorpusError(path, f"not JSON: {error.msg}", error.lineno) from error
    except RecursionError as error:
        raise CorpusError(path, "not LEAF: it is nested too deeply") from error
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(path, str(error)) from error
    if not isinstance(document, dict) or not isinstance(document.get("user_data"), dict):
        raise CorpusError(path, 'not LEAF: needs an object with "user_data"')
    for user, samples in document["user_data"].items():
        if not isinstance(samples, dict) or not isinstance(samples.get("x"), list):
            raise CorpusError(path, f'user {user!r} needs a list "x"')
        windows = _windows(samples["x"], samples.get("y"))
        if windows is not None:
            yield from ((user, Message(text)) for text in windows)
            continue
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
    text = sample[_TWEET_TEXT] if len(sample) > _TWEET_TEXT else None
    return text if isinstance(text, str) else None


def _windows(x: Sequence[object], y: object) -> list[str] | None:
    """Return the sentences that windows of characters were cut from; None if the samples are none."""
    if not isinstance(y, list) or not x or len(y) != len(x):
        return None
    windows = [sample for sample in x if isinstance(sample, str)]
    following = [sample for sample in y if isinstance(sample, str) and len(sample) == 1]
    if not len(windows) == len(following) == len(x) or len({len(window) for window in windows}) != 1:
        return None
    runs: list[list[str]] = []
    previous = ""
    for window, character in zip(windows, following, strict=True):
        if not runs or window != previous:
            runs.append([window])
        runs[-1].append(character)
        previous = window[1:] + character
    return [sentence for run in runs for sentence in _SENTENCE.split("".join(run)) if sentence.strip()]
