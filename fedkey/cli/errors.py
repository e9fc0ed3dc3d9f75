"""What people see when something is wrong: one sentence, and a non-zero exit."""

from typing import Any, NoReturn

import click

from data.corpus import CorpusError
from federation.errors import FederationError
from model.checkpoint import CheckpointError
from model.engine import ExportError
from model.vocabulary import VocabularyError

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


class UserErrors(click.Group):
    """A group whose commands turn errors that people can cause into one clear sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; see the class."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            group = GROUP_OF.get((error.name or "").split(".")[0])
            if group is None:
                raise
            raise click.ClickException(
                f"this command needs {error.name}, which the phone's install leaves out: "
                f"run `uv sync --group {group}` in a checkout of fedkey"
            ) from error
        except (CorpusError, CheckpointError, ExportError, VocabularyError, FederationError) as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            _interrupted()


def _interrupted() -> NoReturn:
    click.echo("\ninterrupted; the same command goes on from the last saved state", err=True)
    raise click.exceptions.Exit(130)
