"""`fedkey keyboard`: the phone on a desktop."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from fedkey import paths
from fedkey.cli.places import Place
from fedkey.lesson import Lesson
from keyboard_app.phone import Phone
from keyboard_app.profile import Profile
from model.engine import Export
from model.folders import FolderError, check_writable
from model.languages import CODES

_MAX_LANGUAGES = 2
_BEGINNINGS = ("The ferry leaves at n", "See you at the har", "The ferry leaves ")  # typed before the pictures


@click.command()
@click.option(
    "--model",
    type=Place(),
    default=paths.SERVER / "export",
    show_default=True,
    help="A folder that `fedkey export` wrote.",
)
@click.option("--server", default="", help="URL of the round server; without one the phone learns by itself.")
@click.option(
    "--profile",
    default="phone",
    show_default=True,
    help="Name of the phone. Each profile is a separate phone with its own data.",
)
@click.option("--profiles", type=Place(), help="Folder of all profiles.")
@click.option(
    "--language",
    "languages",
    multiple=True,
    type=click.Choice(CODES),
    help="Language to type in; give it twice for two languages. The model's if not given.",
)
@click.option("--page", help="Screen to open first, such as settings or leaves.")
@click.option("--corpus", default="chitchat", show_default=True, help="Corpus of --corpus-user.")
@click.option("--corpus-user", help="Type this user's messages by itself, for demonstrations.")
@click.option(
    "--screenshot",
    type=Place(),
    help="Write pictures of every screen into this folder, after rounds of three phones with a "
    "server. Opens no window.",
)
def keyboard(
    model: Path,
    server: str,
    profile: str,
    profiles: Path | None,
    corpus: str,
    corpus_user: str | None,
    screenshot: Path | None,
    page: str | None,
    languages: tuple[str, ...],
) -> None:
    """Open a phone's keyboard that predicts, learns on this machine, and takes part in rounds if you agree."""
    if screenshot is not None:
        Export.load(model)
        _check_pictures(screenshot)
        _screenshots(model, screenshot)
        return
    if len(set(languages)) != len(languages) or len(languages) > _MAX_LANGUAGES:
        raise click.UsageError("give --language once, or twice with two languages")
    messages = _messages(corpus, corpus_user) if corpus_user else []
    from keyboard_app.ui.app import run
    from keyboard_app.ui.pages import PAGES

    if page is not None and page not in PAGES:
        raise click.UsageError(f"there is no screen {page!r}: choose one of {', '.join(PAGES)}")
    if not (model / "manifest.json").exists():
        click.echo(f"{model} holds no model, so nothing is suggested: write one with `fedkey export`", err=True)
    with Profile.named(profile, profiles).held() as own:
        phone = Phone(own, model=model if model.exists() else None, server=server, languages=languages, at_once=False)
        run([phone], messages, page=page)


def _check_pictures(folder: Path) -> None:
    """Refuse a folder with anything in it, whose pictures may be somebody's."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FolderError(f"{folder} is not an empty folder: choose a new one with --screenshot")
    check_writable(folder)


def several(
    model: Path, folder: Path, count: int, *, self_playing: bool = False, film_path: Path | None = None
) -> None:
    """Open several phones in one window, with a round server of their own, and say what to do with them.

    Args:
        model: folder of an exported model.
        folder: of the phones and their server.
        count: of phones.
        self_playing: whether they do by themselves what there is to do, without a window.
        film_path: where to write an animation of that; None for none.
    """
    from fedkey import demonstration, lesson

    names = demonstration.NAMES[:count]
    with demonstration.local_server(folder, model, count) as url:
        phones = demonstration.open_phones(
            folder / "phones",
            count,
            model,
            url,
            demonstration.trust_of(folder),
            settings=lesson.settings(count),
            at_once=self_playing,
        )
        guide = lesson.Lesson(phones, names)
        if not self_playing:
            from keyboard_app.ui.app import run

            run(phones, guide=guide.text)
            return
        try:
            if film_path is None:
                lesson.play(phones, guide, click.echo)
            else:
                _filmed(phones, guide, film_path)
        finally:
            for phone in phones:
                phone.close()


def _filmed(phones: Sequence[Phone], guide: Lesson, path: Path) -> None:
    from fedkey import lesson
    from keyboard_app.ui.film import Film

    film = Film(phones, guide.text)
    lesson.play(phones, guide, click.echo, film.take)
    film.write(path)
    click.echo(f"{film.length} pictures in {path}")


def _messages(corpus: str, user: str) -> list[str]:
    import data

    users = data.load(paths.corpus(corpus)).users
    if user not in users:
        raise click.UsageError(f"{corpus} has no user {user!r}: see `fedkey data stats {corpus}`")
    return list(users[user])


def _screenshots(model: Path, out: Path) -> None:
    from fedkey import demonstration
    from keyboard_app.ui.screenshots import write_all

    with tempfile.TemporaryDirectory(prefix="fedkey-") as name:
        folder = Path(name)
        demonstration.type_diaries(folder / "phones", model)
        count = len(demonstration.DIARIES)
        with demonstration.local_server(folder, model, count) as url:
            phones = demonstration.open_phones(folder / "phones", count, model, url, demonstration.trust_of(folder))
            try:
                demonstration.play_rounds(phones, 4)
                for phone, text in zip(phones, _BEGINNINGS, strict=True):
                    for character in text:
                        phone.session.type(character)
                        phone.settle()
                written = write_all(phones, out)
            finally:
                for phone in phones:
                    phone.close()
    click.echo(f"{len(written)} pictures in {out}")
