"""Fills the `console` blocks of Markdown files with what their commands print.

Owns the outputs in README.md and examples/*/README.md: a block that begins with `$ headway ...` is run in the root of
the repository, at 80 columns, as of the date below, and holds exactly its output; and the tables of what benchmarks
measured.
`--check` changes nothing and fails where something has gone stale.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = (ROOT / "README.md", *sorted((ROOT / "examples").glob("*/README.md")))
TABLE = re.compile(r"<!-- (?P<name>accuracy|pilots) -->\n.*?<!-- /(?P=name) -->", re.DOTALL)
BLOCK = re.compile(r"```console\n\$ (?P<command>headway [^\n]*)\n.*?```\n", re.DOTALL)
AS_OF = "1795219200"
"""2026-11-21, the date of the shipped facts."""


def filled(text: str) -> str:
    """`text` with every block's output, and the tables of what was measured, made anew."""
    text = TABLE.sub(lambda found: f"<!-- {found['name']} -->\n{table(found['name'])}<!-- /{found['name']} -->", text)
    return BLOCK.sub(lambda block: f"```console\n$ {block['command']}\n{output(block['command'])}```\n", text)


def table(name: str) -> str:
    """The table of `benchmarks/data/accuracy.json` or `pilots.json`."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    if name == "pilots":
        from pilot import markdown

        return markdown()
    from published import table as accuracy

    return accuracy()


def output(command: str) -> str:
    """What the command prints, trailing blanks removed."""
    paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    world = {**os.environ, "PATH": paths, "COLUMNS": "80", "NO_COLOR": "1", "SOURCE_DATE_EPOCH": AS_OF}
    world |= {"HEADWAY_STORE": "none"}  # what was measured on this machine is not in a document
    done = subprocess.run(command, shell=True, cwd=ROOT, env=world, capture_output=True, text=True, check=False)  # noqa: S602 - the commands are this repository's own, pipes included
    printed = done.stdout + done.stderr
    return "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").splitlines())


def main() -> int:
    """Fill all files; with `--check`, name those that have gone stale."""
    stale = []
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        new = filled(text)
        if new != text:
            stale.append(str(file.relative_to(ROOT)))
            if "--check" not in sys.argv:
                file.write_text(new, encoding="utf-8")
    if "--check" in sys.argv and stale:
        print(f"stale: {', '.join(stale)}; run scripts/readme")
        return 1
    print(f"filled: {', '.join(stale) or 'nothing to change'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
