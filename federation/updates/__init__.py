"""Model deltas: weighted sums, encodings as modular vectors, sparsification, frozen rows."""
