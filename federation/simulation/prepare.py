"""From a corpus to what a run needs: roles, vocabulary, packed rows; and to what an evaluation needs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import data
from data.corpus import CorpusError, Split, Users
from data.tokens import TokenTable, prepare
from federation.simulation.rows import FederatedRows
from model.batches import Rows, pack
from model.languages.detection import detect, occurrences, warning
from model.text import Token, tokenise
from model.vocabulary import Vocabulary
from model.word_list import common_words

_LOOKED_AT = 5000  # messages, to tell the language


@dataclass(frozen=True)
class Prepared:
    """A corpus made ready.

    Attributes:
        split: users by role.
        vocabulary: of public text.
        tables: encoded messages of every part.
        language: code of what the vocabulary is of.
        warning: one sentence if the corpus does not look like it; empty if it does.
    """

    split: Split
    vocabulary: Vocabulary
    tables: dict[str, TokenTable]
    language: str
    warning: str

    def rows(self, length: int) -> FederatedRows:
        """Return packed rows of `length` targets; clients without training messages are left out."""
        train = [self._user_rows("train", user, length) for user in range(len(self.tables["train"].users))]
        validation = [self._user_rows("validation", user, length) for user in range(len(train))]
        return FederatedRows(
            pack(self.tables["seed"].all_messages(), length),
            [rows for rows in train if len(rows)],
            validation,
        )

    def central_rows(self, length: int) -> Rows:
        """Return the seed's and all clients' training messages in one pile."""
        return pack(self.tables["seed"].all_messages() + self.tables["train"].all_messages(), length)

    def _user_rows(self, part: str, user: int, length: int) -> Rows:
        return pack(self.tables[part].messages(user), length)


def prepared(
    corpus: str,
    cache: Path,
    *,
    min_messages: int = 0,
    max_users: int = 0,
    vocabulary: Vocabulary | None = None,
    language: str = "",
) -> Prepared:
    """Read a corpus and encode everything, or take the arrays from `cache`.

    Args:
        corpus: `chitchat` or the path of a corpus file.
        cache: folder for what can always be made again.
        min_messages: see `data.select`.
        max_users: likewise.
        vocabulary: of the start; by default one is learnt from the corpus's public users.
        language: code of the corpus's; by default that of the vocabulary, or else what its public users seem to write.

    Raises:
        CorpusError: the corpus cannot be used.
    """
    read, split, options = data.select(corpus, min_messages=min_messages, max_users=max_users)
    for role, users in (("public users", split.seed), ("clients", split.train)):
        if not any(token.is_word for texts in users.values() for text in texts for token in tokenise(text)):
            raise CorpusError(
                read.name, f"there is not one word in what its {role} wrote: nothing can be learned from it"
            )
    words = language_words(split.seed)
    language = language or detect(words if vocabulary is None else dict.fromkeys(vocabulary.words, 1)).code
    if vocabulary is None:
        public = (text for texts in split.seed.values() for text in texts)
        vocabulary = Vocabulary.train(public, word_list=common_words(language))
    tables = prepare(read, split, options, lambda text: vocabulary.encode(tokenise(text)), vocabulary.key, cache)
    return Prepared(split, vocabulary, tables, language, warning(words, language) or "")


def language_words(users: Users) -> Counter[str]:
    """Return the words of some messages, evenly of all users, by which to tell their language."""
    messages = [text for texts in users.values() for text in texts]
    return occurrences(messages[:: max(1, len(messages) // _LOOKED_AT)])


def tokenised(users: Users) -> dict[str, list[list[Token]]]:
    """Return every user's messages as tokens, as evaluation reads them."""
    return {user: [tokenise(text) for text in texts] for user, texts in users.items()}


def flat(users: dict[str, list[list[Token]]]) -> Sequence[Sequence[Token]]:
    """Return all users' messages in one list."""
    return [message for messages in users.values() for message in messages]
