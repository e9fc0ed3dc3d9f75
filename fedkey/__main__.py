"""`python -m fedkey` is `fedkey`."""

import sys


def run() -> None:
    """Run the command; an interrupt that comes before there is one to tell of it ends in order, too."""
    try:
        from fedkey.cli import main  # noqa: PLC0415 - see above
    except KeyboardInterrupt:
        sys.exit(130)
    main(prog_name="fedkey")


if __name__ == "__main__":
    run()
