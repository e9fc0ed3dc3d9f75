"""What people see when something is wrong: one sentence, and a non-zero exit."""

import contextlib
import errno
import io
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import click

from model.files import PARTIAL

GROUP_OF = {
    "ai_edge_litert": "simulation",
    "alembic": "server",
    "chitchat_dataset": "simulation",
    "dp_accounting": "simulation",
    "flask": "server",
    "fsspec": "server",
    "gunicorn": "server",
    "limits": "server",
    "matplotlib": "report",
    "mlflow": "mlflow",
    "prometheus_client": "server",
    "psutil": "simulation",
    "rich": "simulation",
    "sentencepiece": "simulation",
    "sqlalchemy": "server",
    "tensorflow": "simulation",
    "tensorflow_federated": "simulation",
    "tensorflow_privacy": "simulation",
    "tomli_w": "server",
}
"""Which dependency group brings a package that the phone's install leaves out."""

TRACEBACK = "FEDKEY_TRACEBACK"
"""Environment variable that shows where an error came from."""

_OURS = ("data", "federation", "fedkey", "keyboard_app", "model")
_PARTIAL_NAME = re.compile(rf"\.([^/]+)\.[0-9a-f]+{re.escape(PARTIAL)}$")
_REMEDIES = {
    errno.EACCES: "this user may not read or write here: choose another place, or change its permissions",
    errno.EEXIST: "there is a file where a folder is needed: choose another place",
    errno.EISDIR: "there is a folder where a file is needed: choose another place",
    errno.ENOTDIR: "there is a file where a folder is needed: choose another place",
    errno.EROFS: "nothing can be written on this disk: choose another place",
}
_LOOP = "Symlink loop from "
"""How the errors of `Path.resolve` begin."""
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class UserErrors(click.Group):
    """A group whose commands end every error with one clear sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; see the class."""
        with _sentences():
            return super().invoke(ctx)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run as a program: what reading options or closing the output brings up is a sentence too."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal that cannot show a letter shows the rest
        try:
            try:
                with _sentences():
                    return super().main(*args, **extra)
            finally:
                _close_output()
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)


@contextlib.contextmanager
def _sentences() -> Iterator[None]:
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except KeyboardInterrupt:
        _interrupted()
    except BrokenPipeError:
        raise  # the reader has read enough; click knows what to do
    except Exception as error:
        if os.environ.get(TRACEBACK):
            traceback.print_exc()
        raise click.ClickException(sentence(error)) from error


def sentence(error: BaseException) -> str:
    """Return what is wrong, in one line."""
    # The line breaks that some libraries put into theirs tell people nothing.
    return " ".join(_said(error).split())


def _said(error: BaseException) -> str:
    for kind, say in _BY_KIND:
        if isinstance(error, kind):
            return say(error)
    if str(error).startswith(_LOOP):
        return f"{str(error).removeprefix(_LOOP)}: symbolic links lead around in a circle"
    name = type(error)
    if name.__module__.split(".", maxsplit=1)[0] in _OURS:
        return str(error)
    if name.__module__.startswith("sqlalchemy"):
        return f"the database cannot be used: {str(error).splitlines()[0]}"
    return f"this should not happen: {name.__name__}: {error}; {TRACEBACK}=1 shows where; please report it"


def _missing_module(error: Any) -> str:
    group = GROUP_OF.get((error.name or "").split(".")[0])
    if group is None:
        return f"the package {error.name} is missing: run `uv sync`"
    return (
        f"this command needs {error.name}, which the phone's install leaves out: "
        f"run `uv sync --group {group}` in a checkout of fedkey"
    )


def _of_system(error: Any) -> str:
    if error.errno in _NO_ROOM:
        return (
            f"there is no room left to write {error.filename or 'what this command writes'}: free some, and try again"
        )
    if error.filename is None:
        return str(error.strerror or error)
    place = _PARTIAL_NAME.sub(
        r"\1", os.fsdecode(error.filename) if isinstance(error.filename, bytes) else str(error.filename)
    )
    return f"{place}: {_REMEDIES.get(error.errno, error.strerror or error)}"


_BY_KIND: tuple[tuple[type[BaseException], Callable[[Any], str]], ...] = (
    (ModuleNotFoundError, _missing_module),
    (OSError, _of_system),
    (UnicodeDecodeError, lambda error: f"a file has bytes that are not text in UTF-8 ({error.reason})"),
    (RecursionError, lambda _: "a file is nested too deeply to be read"),
    (MemoryError, lambda _: "there is not enough memory for this: use a smaller corpus, network or cohort"),
)


def _close_output() -> None:
    """Write what is left of the output; where that fails, Python must not try again at its end."""
    if sys.stdout is None:
        return  # closed before the command began
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_output()
    except OSError as error:
        _forget_output()
        raise click.ClickException(sentence(error)) from error
    except ValueError:
        pass  # closed


def _forget_output() -> None:
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _interrupted() -> NoReturn:
    click.echo("\ninterrupted; run the same command again to go on", err=True)
    raise click.exceptions.Exit(130)
