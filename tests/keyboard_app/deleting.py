"""A phone that is killed in the middle of deleting everything: `python -m tests.keyboard_app.deleting PARENT WHERE`."""

import os
import shutil
import signal
import sys
from pathlib import Path

from federation.device import PhoneStore
from keyboard_app.deletion import Deletion
from keyboard_app.phone import Phone
from keyboard_app.profile import Profile
from keyboard_app.settings import Settings
from keyboard_app.typing.vault import Vault


def killed(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(parent: Path, where: str) -> None:
    profile = Profile.named("anna", parent)
    profile.keep(Settings(consent=True, theme="dark"))
    PhoneStore(profile.device).close()
    profile.models.mkdir()
    (profile.models / "2.weights").write_bytes(b"weights")
    phone = Phone(profile)
    assert phone.settle()
    for character in "meet at Zanzibar":
        phone.session.type(character)
    phone.session.send()
    assert phone.settle()
    phone.export_data()
    match where:
        case "after the mark":
            phone._learner.wipe = killed  # type: ignore[method-assign]
        case "in the vault":
            Vault.wipe = killed  # type: ignore[method-assign]
        case "in a folder":
            shutil.rmtree = killed  # type: ignore[assignment]
        case "before the end":
            Deletion.done = killed  # type: ignore[method-assign]
    phone.delete_everything()
    phone.settle()
    phone.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
