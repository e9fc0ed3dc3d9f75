"""One script a figure: each prints what it measured beside its reference and writes `results/NAME.json`."""
