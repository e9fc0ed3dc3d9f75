"""`python -m federation.cli` is `fedkey`."""

from federation.cli import main

main(prog_name="fedkey")
