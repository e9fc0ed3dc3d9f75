from pathlib import Path

import pytest

from model.text import CLASSES, tokenise
from model.vocabulary import BOUNDARY, PAD, UNKNOWN, Vocabulary, VocabularyError

MESSAGES = ["hello there, how are you?", "i am going to the library", "call 617-555-1234", "the weather is nice"] * 30


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.train(MESSAGES, size=120, word_list=["zebra"])


def test_special_ids_and_classes_never_come_out_of_text(vocabulary: Vocabulary) -> None:
    for text in ("<s> <pad> <unk>", "<number>", "hello"):
        ids = vocabulary.encode(tokenise(text))
        assert PAD not in ids
        assert BOUNDARY not in ids
        assert not {vocabulary.pieces[i] for i in ids} & set(CLASSES)


def test_a_number_is_one_piece_of_its_class(vocabulary: Vocabulary) -> None:
    assert [vocabulary.pieces[i] for i in vocabulary.encode(tokenise("12345"))] == ["<number>"]


def test_a_token_is_spelled_alike_everywhere(vocabulary: Vocabulary) -> None:
    alone = vocabulary.encode(tokenise("library"))
    assert vocabulary.encode(tokenise("the library, the"))[1 : 1 + len(alone)] == alone


def test_pieces_spell_their_token(vocabulary: Vocabulary) -> None:
    for word in ("hello", "weather", "hear"):
        assert "".join(vocabulary.pieces[i] for i in vocabulary.encode_symbol(word)) == f"▁{word}"


def test_a_character_never_seen_is_unknown(vocabulary: Vocabulary) -> None:
    assert UNKNOWN in vocabulary.encode(tokenise("猫"))


def test_lexicon_is_sorted_and_knows_public_words_only(vocabulary: Vocabulary) -> None:
    assert list(vocabulary.words) == sorted(vocabulary.words)
    assert vocabulary.lexicon["hello"] == 30
    assert vocabulary.lexicon["zebra"] == 0
    assert not set(vocabulary.words) & set(CLASSES)


def test_only_pieces_with_a_word_start_end_a_token(vocabulary: Vocabulary) -> None:
    for i, piece in enumerate(vocabulary.pieces):
        assert vocabulary.starts_token[i] == (piece.startswith("▁") or i == BOUNDARY or piece in CLASSES)


def test_training_again_gives_the_same_vocabulary(vocabulary: Vocabulary) -> None:
    assert Vocabulary.train(MESSAGES, size=120, word_list=["zebra"]).key == vocabulary.key


def test_what_is_saved_loads(vocabulary: Vocabulary, tmp_path: Path) -> None:
    vocabulary.save(tmp_path)
    assert Vocabulary.load(tmp_path).key == vocabulary.key


def test_a_damaged_file_is_refused(vocabulary: Vocabulary, tmp_path: Path) -> None:
    vocabulary.save(tmp_path)
    whole = (tmp_path / "sentencepiece.model").read_bytes()
    for damaged in (b"", whole[: len(whole) // 2]):
        (tmp_path / "sentencepiece.model").write_bytes(damaged)
        with pytest.raises(VocabularyError):
            Vocabulary.load(tmp_path)
    with pytest.raises(VocabularyError, match="prepare it anew"):
        Vocabulary.load(tmp_path / "nowhere")
