"""User-level differential privacy: noise that phones make, what it costs, and how much of it a phone has spent."""

from federation.privacy.budget import PrivacyBudget
from federation.privacy.errors import AssumptionError, BudgetError, NoiseError
from federation.privacy.mechanisms import NoiseScale, draw, noised_encoding, phone_noise

__all__ = [
    "AssumptionError",
    "BudgetError",
    "NoiseError",
    "NoiseScale",
    "PrivacyBudget",
    "draw",
    "noised_encoding",
    "phone_noise",
]
