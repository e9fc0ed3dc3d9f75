"""What runs inside the phone: prediction and training without TensorFlow, by LiteRT or by NumPy.

`model.export` writes the folder that `Export.load` reads. Weights move between predictors and trainers, and between
phones and the round server, as one flat vector.
"""

from model.engine.exported import (
    MANIFEST,
    Engine,
    Export,
    FileDescription,
    Manifest,
    file_description,
)
from model.engine.interface import TRAINING_BATCH, ExportError, Predictor, State, Trainer

__all__ = [
    "MANIFEST",
    "TRAINING_BATCH",
    "Engine",
    "Export",
    "ExportError",
    "FileDescription",
    "Manifest",
    "Predictor",
    "State",
    "Trainer",
    "file_description",
]
