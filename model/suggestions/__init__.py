"""What the strip shows while somebody types."""

from model.suggestions.candidates import Origin
from model.suggestions.personal import LearnedWord, PersonalModel
from model.suggestions.suggester import Autocorrection, Suggester, Suggestion, split_word

__all__ = ["Autocorrection", "LearnedWord", "Origin", "PersonalModel", "Suggester", "Suggestion", "split_word"]
