"""The import contracts of `pyproject.toml` bite: each is broken on purpose, in a house of empty rooms."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"

ROOMS = ["domain", "work", "plan", "catalog", "store", "logs", "worker", "predict", "estimate", "cost", "schedule"]
ROOMS += ["check", "report", "engines", "track", "app", "cli", "web"]


def lint(tmp_path: Path, files: dict[str, str]) -> tuple[int, str]:
    """Exit code and output of import-linter on empty rooms with `files` (path below headway: text) added."""
    shutil.copy(PYPROJECT, tmp_path)
    package = tmp_path / "src" / "headway"
    for name in ("", *ROOMS):
        (package / name).mkdir(parents=True)
        (package / name / "__init__.py").touch()
    (package / "__main__.py").write_text("from headway import cli\n")
    for name, text in files.items():
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text(text)
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", command, "--no-cache", "--no-logo"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "src"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def broken(output: str) -> set[str]:
    """The ids of the contracts that the output calls broken."""
    names = {line.removesuffix("BROKEN").strip() for line in output.splitlines() if line.endswith("BROKEN")}
    contracts = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    return {contract["id"] for contract in contracts if contract["name"] in names}


def test_empty_rooms_keep_every_contract(tmp_path: Path) -> None:
    code, output = lint(tmp_path, {"app/__init__.py": "from headway import estimate, plan, track\n"})
    assert code == 0, output
    assert re.search(r"[1-9] kept, 0 broken", output)


@pytest.mark.parametrize(
    ("files", "contracts", "says"),
    [
        pytest.param(
            {"domain/units.py": "from headway.work import flop\n", "work/flop.py": ""},
            {"floors"},
            "headway.domain is not allowed to import headway.work",
            id="upwards",
        ),
        pytest.param(
            {"plan/load.py": "def load():\n    import headway.catalog\n"},
            {"floors"},
            "headway.plan is not allowed to import headway.catalog",
            id="sideways, in a function",
        ),
        pytest.param(
            {"worker/bench.py": "from headway import work\n"},
            {"floors"},
            "headway.worker is not allowed to import headway.work",
            id="a worker needs domain alone",
        ),
        pytest.param({"attic/__init__.py": ""}, {"floors"}, "headway.attic", id="a room without a floor"),
        pytest.param({"attic.py": ""}, {"floors"}, "headway.attic", id="a module outside the rooms"),
        pytest.param(
            {"check/rules.py": "from headway.store import records\n", "store/records.py": "import sqlite3\n"},
            {"spine", "world"},
            "headway.store.records -> sqlite3",
            id="out of the spine, and so to the world",
        ),
        pytest.param(
            {"estimate/draws.py": "import random\n"},
            {"world"},
            "headway.estimate is not allowed to import random",
            id="chance",
        ),
        pytest.param(
            {"domain/units.py": "from os import path\n", "cost/bill.py": "from urllib.request import urlopen\n"},
            {"world"},
            "headway.cost is not allowed to import urllib",
            id="files and network",
        ),
        pytest.param(
            {"__init__.py": "import time\n", "predict/step.py": "from headway import __version__\n"},
            {"world"},
            "headway -> time",
            id="the clock, through the package itself",
        ),
        pytest.param({"predict/step.py": "import torch.nn\n"}, {"world"}, "headway.predict.step -> torch", id="torch"),
        pytest.param(
            {"worker/emit.py": "import pydantic\n"},
            {"bare-node"},
            "headway.worker is not allowed to import pydantic",
            id="a worker on a bare node",
        ),
    ],
)
def test_a_contract_bites(tmp_path: Path, files: dict[str, str], contracts: set[str], says: str) -> None:
    code, output = lint(tmp_path, files)
    assert code == 1, output
    assert broken(output) == contracts
    assert says in output
