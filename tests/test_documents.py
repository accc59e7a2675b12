"""README.md and the examples' pages hold exactly what their commands print: examples are documents and tests."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "readme.py"), run_name="readme")


@pytest.mark.parametrize("file", SCRIPT["FILES"], ids=lambda file: str(file.relative_to(ROOT)))
def test_outputs_are_what_the_commands_print(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert "$ headway" in text
    assert SCRIPT["filled"](text) == text, "stale: run scripts/readme"


def test_every_example_has_a_plan_and_a_page() -> None:
    for folder in (ROOT / "examples").iterdir():
        assert (folder / "plan.yaml").is_file()
        assert (folder / "README.md").is_file()
