"""`python -m fedkey` is `fedkey`."""

from fedkey.cli import main

main(prog_name="fedkey")
