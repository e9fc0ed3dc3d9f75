# /// script
# requires-python = "==3.11.*"
# dependencies = ["regex"]
# ///
"""Makes the emoji of `model/languages`: `uv run data/emoji_names.py EMOJI_TEST CLDR`.

EMOJI_TEST is Unicode's `emoji-test.txt`, which Debian's package unicode-data has below `/usr/share/unicode/emoji`:
which emoji there are, in which order and groups, and which take a skin tone. CLDR is a folder with the npm packages
`cldr-annotations-full` and `cldr-annotations-derived-full`: what they are called. Both are under the Unicode licence.
"""

import argparse
import json
from pathlib import Path

LANGUAGES = Path(__file__).parent.parent / "model" / "languages"
CODES = ("en", "es", "de", "fr", "hi")
TONES = "🏻🏼🏽🏾🏿"
LOOKS_PICTURE = "\ufe0f"


def main() -> None:
    """Write `emoji.txt`, and one for each language."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("emoji_test", type=Path)
    parser.add_argument("cldr", type=Path)
    arguments = parser.parse_args()
    groups, toned = read(arguments.emoji_test)
    lines = [f"{name}: {' '.join(emoji)}" for name, emoji in groups.items()]
    (LANGUAGES / "emoji.txt").write_text("\n".join([*lines, f"skin tones: {' '.join(toned)}"]) + "\n", "utf-8")
    for code in CODES:
        called = names(arguments.cldr, code)
        listed = [
            f"{emoji} {'|'.join(called[bare])}"
            for group in groups.values()
            for emoji in group
            if (bare := emoji.replace(LOOKS_PICTURE, "")) in called
        ]
        (LANGUAGES / code / "emoji.txt").write_text("\n".join(listed) + "\n", "utf-8")
        print(f"{code}: {len(listed)} of {sum(map(len, groups.values()))}")  # noqa: T201 - a script's answer


def read(path: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Return the emoji without skin tones by group, and those that take one behind their first character."""
    groups: dict[str, list[str]] = {}
    found: list[str] = []
    group = ""
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("# group: "):
            group = line.removeprefix("# group: ")
        elif "; fully-qualified" in line:
            emoji = "".join(chr(int(code, 16)) for code in line.split(";")[0].split())
            found.append(emoji)
            if not set(TONES) & set(emoji):
                groups.setdefault(group, []).append(emoji)
    every = set(found)
    toned = [
        emoji
        for emoji in found
        if all(emoji[0] + tone + emoji[1:].removeprefix(LOOKS_PICTURE) in every for tone in TONES)
    ]
    return groups, toned


def names(cldr: Path, code: str) -> dict[str, list[str]]:
    """Return what each emoji is called: its name first, then other words for it."""
    found: dict[str, list[str]] = {}
    for package, folder in (
        ("cldr-annotations-full", "annotations"),
        ("cldr-annotations-derived-full", "annotationsDerived"),
    ):
        text = (cldr / package / folder / code / "annotations.json").read_text("utf-8")
        for emoji, said in json.loads(text)[folder]["annotations"].items():
            name = said.get("tts", said.get("default", [""]))[0]
            words = dict.fromkeys([name, *said.get("default", [])])
            found[emoji.replace(LOOKS_PICTURE, "")] = [word.replace("|", " ") for word in words if word]
    return found


if __name__ == "__main__":
    main()
