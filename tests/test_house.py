"""Rooms stay small enough to know: no module over 400 lines, no class over 300, no package over a quarter of all.

A module that says why it is longer, in a comment that begins with `# Longer`, may be.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("fedkey", "keyboard_app", "federation", "model", "data")
MAX_MODULE, MAX_CLASS = 400, 300


def modules() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text()


def test_modules_and_classes_that_are_long_say_why() -> None:
    silent = []
    for name, text in modules():
        classes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)]
        lengths = [(node.end_lineno or 0) - node.lineno + 1 for node in classes]
        long = len(text.splitlines()) > MAX_MODULE or max(lengths, default=0) > MAX_CLASS
        if long and "\n# Longer" not in text:
            silent.append(name)
    assert not silent


def test_no_package_holds_a_quarter_of_all_lines() -> None:
    lines = Counter[str]()
    for name, text in modules():
        *folders, _ = name.split("/")
        room = "/".join(folders[:2]) if folders[0] == "federation" else folders[0]
        lines[room] += len(text.splitlines())
    largest, count = lines.most_common(1)[0]
    assert count < sum(lines.values()) / 4, largest
