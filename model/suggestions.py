"""What the strip shows for a text that is being typed."""

from model.evaluation import STRIP, Lexicon, WordModel
from model.text import Token, tokenise

_SOME_WORD = Token("a", "a", space_after=False)


class Suggester:
    """Next words, and completions of the word being typed, from any word model.

    Args:
        model: what predicts.
    """

    def __init__(self, model: WordModel) -> None:
        self._model = model
        self._lexicon = Lexicon(model.words)

    def suggest(self, text: str, count: int = STRIP) -> list[str]:
        """Return up to `count` words, best first, for the end of `text`.

        After a space or a mark they are the next word; after a letter they complete the word it belongs to.
        """
        tokens = tokenise(text)
        prefix = ""
        if tokens and tokens[-1].is_word and not text[-1].isspace():
            prefix = tokens.pop().surface
        scores = self._model.score([[*tokens, _SOME_WORD]]).word_scores[-1]
        return self._lexicon.top(scores, prefix, count)
