"""The rules of the house that no linter knows: what every file of the package has to keep."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import headway

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "headway"
MODULES = sorted(SOURCE.rglob("*.py"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = {contract["id"]: contract for contract in PYPROJECT["tool"]["importlinter"]["contracts"]}
SPINE = {"domain", "work", "predict", "estimate", "cost", "schedule", "check"}


def named_in(layers: list[str]) -> set[str]:
    """The modules that import-linter reads from `layers`, parentheses and delimiters taken away."""
    return {word.strip(" ()\n") for layer in layers for word in layer.replace("|", ":").split(":")}


def trees(paths: list[Path]) -> Iterator[tuple[str, ast.Module]]:
    """Each file's name below `src/headway` and its syntax tree."""
    for path in paths:
        yield str(path.relative_to(SOURCE)), ast.parse(path.read_text(encoding="utf-8"))


def spine_files() -> list[Path]:
    return [path for path in MODULES if path.relative_to(SOURCE).parts[0] in SPINE]


def dotted(node: ast.expr) -> str:
    """`np.random.rand` of an attribute's syntax tree; empty for what is not a chain of names."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (left := dotted(node.value)):
        return f"{left}.{node.attr}"
    return ""


# ---- rooms and floors


def test_every_room_on_disk_has_a_floor() -> None:
    rooms = {path.relative_to(SOURCE).parts[0] for path in MODULES if path.parent != SOURCE}
    assert "domain" in rooms
    assert rooms <= named_in(CONTRACTS["floors"]["layers"])


def test_every_folder_with_code_is_a_package_that_the_contracts_can_see() -> None:
    bare = {str(path.parent.relative_to(SOURCE)) for path in MODULES if not (path.parent / "__init__.py").exists()}
    assert not bare


def test_only_the_doors_to_the_package_stand_outside_the_rooms() -> None:
    assert {path.name for path in SOURCE.glob("*.py")} == {"__init__.py", "__main__.py"}


def test_the_contracts_speak_of_the_same_rooms() -> None:
    rooms = named_in(CONTRACTS["floors"]["layers"])
    above, spine = (named_in([layer]) for layer in CONTRACTS["spine"]["layers"])
    assert above | spine == rooms
    assert spine == SPINE
    assert named_in(CONTRACTS["world"]["layers"][1:]) == {f"headway.{room}" for room in SPINE}


# ---- files


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {str(path.relative_to(SOURCE)): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert not {name: lines for name, lines in lengths.items() if lines > 400}


def test_no_function_is_longer_than_40_lines() -> None:
    long = {}
    for name, tree in trees(MODULES):
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[0]
                prose = first.end_lineno - first.lineno + 1 if ast.get_docstring(node) else 0
                if (lines := node.end_lineno - node.lineno + 1 - prose) > 40:
                    long[f"{name}: {node.name}"] = lines
    assert not long


def public(tree: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, ast.AST]]:
    """The public functions and classes of a module or class, and those of its public classes."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield f"{prefix}.{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from public(node, f"{prefix}.{node.name}")


def test_every_public_thing_has_a_docstring() -> None:
    silent = []
    for name, tree in trees(MODULES):
        things = [(name, tree), *public(tree, name)]
        silent += [thing for thing, node in things if not ast.get_docstring(node)]
    assert not silent


def test_no_text_names_a_machine_or_a_package_registry() -> None:
    # Written in halves, so that this file does not find itself.
    marks = [
        "/wo" + "rk/main",
        "/wo" + "rk/shared",
        "../" + "shared",
        "/opt/" + "pypi",
        "/opt/" + "wheels",
        ".py" + "env/",
    ]
    marks += ["pypi" + ".org", "python" + "hosted.org", "anaconda" + ".org", "index" + "-url"]
    folders = ["src", "tests", "scripts", "benchmarks", "examples", "docs", ".ci", ".github"]
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    files += [path for path in ROOT.iterdir() if path.is_file()]
    found = []
    for path in files:
        text = path.read_bytes().decode("utf-8", errors="ignore")
        found += [f"{path.relative_to(ROOT)}: {mark}" for mark in marks if mark in text]
    assert len(files) > 20
    assert not [line for line in found if "__pycache__" not in line]


# ---- the spine asks the world for nothing


def test_the_spine_never_uses_numpys_global_random_state() -> None:
    used = []
    for name, tree in trees(spine_files()):
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                head, _, tail = dotted(node).rpartition(".")
                if head in {"np.random", "numpy.random"} and tail not in {"Generator", "default_rng"}:
                    used.append(f"{name}:{node.lineno}: {head}.{tail}")
            elif isinstance(node, ast.ImportFrom) and node.module == "numpy.random":
                names = {alias.name for alias in node.names} - {"Generator", "default_rng"}
                used += [f"{name}:{node.lineno}: {word}" for word in sorted(names)]
    assert not used


def test_the_spine_calls_no_clock_no_file_and_no_code_from_text() -> None:
    builtins = {"open", "input", "print", "exec", "eval", "compile", "__import__"}
    used = []
    for name, tree in trees(spine_files()):
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            if isinstance(node.func, ast.Name) and node.func.id in builtins:
                used.append(f"{name}:{node.lineno}: {node.func.id}()")
            if isinstance(node.func, ast.Attribute) and node.func.attr in {"now", "utcnow", "today"}:
                used.append(f"{name}:{node.lineno}: .{node.func.attr}()")
    assert not used


# ---- a cheap start


def imported_by(*arguments: str) -> tuple[set[str], str]:
    """The top-level modules that `python ARGUMENTS` imports, and what it prints."""
    done = subprocess.run([sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}, done.stdout


@pytest.mark.parametrize(
    "arguments", [("-c", "import headway"), ("-m", "headway", "--version")], ids=["import", "version"]
)
def test_the_start_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    modules, _ = imported_by(*arguments)
    assert "headway" in modules
    assert not modules & {"torch", "numpy", "pydantic", "ruamel", "rich", "pandas", "transformers"}


def test_version_is_the_packages() -> None:
    _, printed = imported_by("-m", "headway", "--version")
    assert headway.__version__ in printed


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = headway.no_such_name
    assert set(headway.__all__) <= set(dir(headway))


def test_a_star_import_needs_no_extra() -> None:
    modules, _ = imported_by("-c", "from headway import *; track, load")
    assert "headway" in modules
    assert not modules & {"torch", "transformers", "lightning"}
