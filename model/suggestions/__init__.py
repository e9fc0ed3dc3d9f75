"""What the strip shows while somebody types."""

from model.suggestions.candidates import Origin
from model.suggestions.gliding import Path
from model.suggestions.personal import LearnedWord, PersonalModel
from model.suggestions.suggester import Autocorrection, Suggester, Suggestion, split_word

__all__ = ["Autocorrection", "LearnedWord", "Origin", "Path", "PersonalModel", "Suggester", "Suggestion", "split_word"]
