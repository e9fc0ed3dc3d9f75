"""Learning together: rounds of federated averaging, and all that they need."""
