"""Pages lead to what is there: files that they link to, modules and commands that they name."""

import json
import re
from pathlib import Path

import pytest

from fedkey.cli import main

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)")
COMMAND = re.compile(r"^(?:uv run )?fedkey ([a-z][a-z-]*)\b(?!.* v\d)", re.MULTILINE)
SOURCE = re.compile(r"`((?:benchmarks|data|deploy|docs|federation|fedkey|keyboard_app|model|tests)/[\w./-]+\.\w+)`")
MODULE = re.compile(r"python -m ((?:benchmarks|tests|fedkey)[a-z_.0-9]*)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    targets = {target for target in LINK.findall(page.read_text()) if "://" not in target}
    assert not {target for target in targets if not (page.parent / target).exists()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_modules_that_are_named_exist(page: Path) -> None:
    text = page.read_text()
    # Tables of tests name them as they lie below `tests`.
    sources = SOURCE.findall(text)
    assert not {source for source in sources if not ((ROOT / source).exists() or (ROOT / "tests" / source).exists())}
    code = "\n".join(re.findall(r"`([^`\n]+)`", text) + re.findall(r"^    (.*)$", text, re.MULTILINE))
    for module in MODULE.findall(code):
        path = ROOT / module.rstrip(".").replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module
    known = set(main.list_commands(None))  # type: ignore[arg-type]
    assert set(COMMAND.findall(code)) <= known


ADVERSARIES = re.split(
    r"\n##+ ", (ROOT / "docs" / "secure-aggregation.md").read_text().split("### Who is kept from what")[1]
)[0]
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


@pytest.mark.parametrize("row", [line for line in ADVERSARIES.splitlines() if line.startswith("| ")][1:])
def test_every_adversary_is_attacked_by_tests_that_exist(row: str) -> None:
    """One row of the table of adversaries by protection by profile."""
    *cells, attacks = row.strip("|").split(" | ")
    assert len(cells) == 4
    named, measured = TEST.findall(attacks), SOURCE.findall(attacks)
    assert len(named) + len(measured) == attacks.count("`") / 2 > 0
    for path, name in named:
        assert re.search(rf"^ *def {name}\(", (ROOT / path).read_text(), re.MULTILINE), name


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        targets = [(page.parent / target).resolve() for target in LINK.findall(page.read_text()) if "://" not in target]
        waiting += [target for target in targets if target.suffix == ".md" and target.exists()]
    assert set(PAGES) - reached <= {ROOT / "CHANGELOG.md", ROOT / "NOTICE.md"}


def test_the_first_table_has_figures_of_models_as_they_were_measured() -> None:
    found = json.loads((ROOT / "benchmarks/results/mixture.json").read_text())
    measured = {figure["figure"]: figure["value"] for figure in found}
    models = [name.removesuffix("_top1") for name in measured if name.endswith("_top1")]
    rows = {tuple(f"{measured[f'{model}_{what}']:.1f}" for what in ("top1", "top3", "ksr")) for model in models}
    table = (ROOT / "README.md").read_text().split("\n\n![")[1].split("\n\n")[1]
    told = [tuple(cell.strip(" *") for cell in line.strip("|").split("|")[1:]) for line in table.splitlines()[2:]]
    assert len(told) >= 4
    assert set(told) <= rows
