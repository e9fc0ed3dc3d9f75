"""Sub-word vocabulary and lexicon, both made of public text only: no client's words shape what a model can say.

Pieces come from a SentencePiece unigram model (Kudo 2018) with identity normalisation. Every word and every mark is
segmented by itself and starts with the word-boundary sign, so a token's pieces never depend on its neighbours.
"""

import functools
import gzip
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model import files
from model.pieces import WORD_START, Kind, PieceError, PieceModel
from model.text import CLASSES, Token, tokenise
from model.wording import DAMAGE

PAD, UNKNOWN, BOUNDARY = 0, 1, 2
"""The special ids. BOUNDARY stands before the first message of a row and after every message."""

VOCABULARY_FILES = ("sentencepiece.model", "lexicon.json")
CANDIDATES = "candidates.txt.gz"
"""Of a vocabulary on disk: files that it always has, and one that it may have."""

_SPECIAL = {"<pad>": PAD, "<unk>": UNKNOWN, "<s>": BOUNDARY}

_WORDS_TYPED = 3000
"""Words of a phone's messages, roughly: who uses a word at all uses it once in this many words."""


class VocabularyError(ValueError):
    """A vocabulary file is missing, damaged, or not of this project."""


class Vocabulary:
    """The pieces a network predicts, the lexicon of words that may be suggested, and candidates that may join it.

    Args:
        sentencepiece_model: a serialised SentencePiece model, as `train` writes it.
        lexicon: occurrences of each suggestable word in the public text; 0 for one of the word list alone.
        candidates: what `save` writes into CANDIDATES, which phones need too seldom to keep it unpacked.
    """

    def __init__(self, sentencepiece_model: bytes, lexicon: Mapping[str, int], candidates: bytes = b"") -> None:
        self._file = sentencepiece_model
        self._candidates = candidates
        try:
            self._model = PieceModel(sentencepiece_model)
        except PieceError as error:
            raise VocabularyError("the SentencePiece model does not load: prepare the vocabulary anew") from error
        self.pieces = self._model.pieces
        self.size = len(self.pieces)
        special = {piece: i for i, piece in enumerate(self.pieces) if self._model.kinds[i] is not Kind.NORMAL}
        if special.keys() != {*_SPECIAL, *CLASSES} or any(special[piece] != i for piece, i in _SPECIAL.items()):
            raise VocabularyError("the SentencePiece model was not trained by fedkey: prepare the vocabulary anew")
        self._classes = {name: special[name] for name in CLASSES}
        self.lexicon = dict(sorted(lexicon.items()))
        self.words: tuple[str, ...] = tuple(self.lexicon)
        self.starts_token: npt.NDArray[np.bool_] = np.array(
            [
                piece.startswith(WORD_START) or i in {BOUNDARY, *self._classes.values()}
                for i, piece in enumerate(self.pieces)
            ]
        )  # [size]: pieces that can only follow a finished word
        self._encode_symbol = functools.lru_cache(maxsize=200_000)(self._segment)

    @classmethod
    def train(
        cls, messages: Iterable[str], *, size: int = 8000, word_list: Iterable[str] = (), min_occurrences: int = 1
    ) -> "Vocabulary":
        """Learn pieces and lexicon from public messages.

        Args:
            messages: public text; the only text that may ever shape a vocabulary.
            size: an upper bound; a small corpus yields fewer pieces.
            word_list: public words that may be suggested although no message has them.
            min_occurrences: of any other word that may be suggested: what is rarer in much text is mostly misspelt.
        """
        import sentencepiece  # noqa: PLC0415 - phones only read what it writes

        lines = []
        counts: Counter[str] = Counter()
        for message in messages:
            tokens = tokenise(message)
            plain = [token.symbol for token in tokens if token.symbol not in CLASSES]
            lines.append(" ".join(plain))
            counts.update(token.symbol for token in tokens if token.is_word and token.symbol not in CLASSES)
        written = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=written,
            model_type="unigram",
            vocab_size=size,
            hard_vocab_limit=False,
            character_coverage=1.0,
            normalization_rule_name="identity",
            split_by_unicode_script=False,
            split_by_number=False,
            control_symbols=list(CLASSES),
            pad_id=PAD,
            unk_id=UNKNOWN,
            bos_id=BOUNDARY,
            eos_id=-1,
            num_threads=1,  # several threads sum in no fixed order
            minloglevel=2,
        )
        listed = dict.fromkeys(word_list, 0)
        found = {word: count for word, count in counts.items() if count >= min_occurrences or word in listed}
        return cls(written.getvalue(), listed | found)

    @property
    def candidates(self) -> tuple[str, ...]:
        """Public words that the lexicon lacks and phones vote for, sorted; read anew each time."""
        return _unpacked(self._candidates)

    @functools.cached_property
    def accepted(self) -> frozenset[str]:
        """Candidates that the lexicon has all the same: phones voted for them."""
        return frozenset(self.lexicon.keys() & self.candidates)

    def with_candidates(self, candidates: Iterable[str]) -> "Vocabulary":
        """Return the same pieces and lexicon with other candidates."""
        lines = "".join(f"{word}\n" for word in sorted(set(candidates)))
        return Vocabulary(self._file, self.lexicon, gzip.compress(lines.encode(), mtime=0))

    def widened(self, shares: Mapping[str, float]) -> "Vocabulary":
        """Return the same pieces, and a lexicon that has some more words.

        Args:
            shares: of phones that use each of them.
        """
        once = sum(self.lexicon.values()) / _WORDS_TYPED
        more = {word: max(1, round(share * once)) for word, share in shares.items()}
        return Vocabulary(self._file, more | self.lexicon, self._candidates)

    @functools.cached_property
    def piece_frequencies(self) -> npt.NDArray[np.float64]:
        """Share of each piece in the public text, as the SentencePiece model estimates it [size].

        Special ids and classes, which stand for whatever people type, count as frequent: 1.
        """
        frequencies: npt.NDArray[np.float64] = np.exp(self._model.scores)
        return frequencies

    @functools.cached_property
    def key(self) -> str:
        """SHA-256 (hex) of pieces and lexicon: names what was encoded with this vocabulary."""
        return hashlib.sha256(self._file + json.dumps(self.lexicon).encode()).hexdigest()

    def encode_symbol(self, symbol: str) -> tuple[int, ...]:
        """Return the piece ids of one word, mark or class."""
        return self._encode_symbol(symbol)

    def encode_lexicon(self) -> list[tuple[int, ...]]:
        """Return the piece ids of each of `words`, and remember none of them."""
        return self.encode_each(self.words)

    def encode_each(self, words: Iterable[str]) -> list[tuple[int, ...]]:
        """Return the piece ids of each word, and remember none of them; sorted words take less time."""
        return list(self._model.encode_each(words))

    def encode(self, tokens: Sequence[Token]) -> list[int]:
        """Return the piece ids of a message, without boundaries."""
        return [piece for token in tokens for piece in self._encode_symbol(token.symbol)]

    def save(self, directory: Path) -> None:
        """Write VOCABULARY_FILES, and CANDIDATES if there are any, into an existing directory."""
        (directory / "sentencepiece.model").write_bytes(self._file)
        (directory / "lexicon.json").write_text(json.dumps(self.lexicon, ensure_ascii=False, indent=0))
        if self._candidates:
            (directory / CANDIDATES).write_bytes(self._candidates)

    @classmethod
    def load(cls, directory: Path) -> "Vocabulary":
        """Read what `save` wrote.

        Raises:
            VocabularyError: a file is missing or damaged.
        """
        try:
            model = files.read(directory / "sentencepiece.model")
            lexicon = json.loads(files.read(directory / "lexicon.json"))
            path = directory / CANDIDATES
            candidates = files.read(path) if path.exists() else b""
            _unpacked(candidates)
        except DAMAGE as error:
            raise VocabularyError(f"no usable vocabulary in {directory}: prepare it anew") from error
        return cls(model, lexicon, candidates)

    def _segment(self, symbol: str) -> tuple[int, ...]:
        if symbol in self._classes:
            return (self._classes[symbol],)
        return self._model.encode(symbol)


def _unpacked(file: bytes) -> tuple[str, ...]:
    return tuple(gzip.decompress(file).decode().split()) if file else ()
