"""User-level differential privacy: noise that phones make, what it costs, and how much of it a phone has spent."""
