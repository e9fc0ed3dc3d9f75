"""Types into a log, and says so after each word that is safe; somebody kills it."""

import sys
from pathlib import Path

from keyboard_app.typing.typing_log import TypingLog
from keyboard_app.typing.vault import FileKeyStore, Vault


def main() -> None:
    folder = Path(sys.argv[1])
    vault = Vault(folder / "typing.sqlite", FileKeyStore(folder / "typing.key"))
    log = TypingLog(vault)
    log.recover()
    first = vault.latest()
    for number in range(first + 1, first + 100_000):
        words = []
        for word in range(4):
            words.append(f"word{number}x{word}")
            log.draft(" ".join(words) + " ")
            sys.stdout.write(words[-1] + "\n")
            sys.stdout.flush()
        log.finish(" ".join(words), keystrokes=3)
        if number % 5 == 0:
            vault.forget_key()


if __name__ == "__main__":
    main()
