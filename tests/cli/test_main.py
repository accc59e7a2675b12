"""The door: commands, help, exit codes, and nothing but messages when something goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

import headway
import headway.cli.verbs
from headway.cli import COMMANDS
from headway.cli.refusals import exit_code_of
from headway.domain.errors import PlanError, UsageError, UserError

SHELL = [sys.executable, "-m", "headway"]


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, with stdout piped."""
    bare = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    return subprocess.run(
        [*SHELL, *arguments], capture_output=True, text=True, check=False, env={**bare, **environment}, encoding="utf-8"
    )


def test_every_command_is_a_file_and_every_file_a_command() -> None:
    files = {path.stem for path in Path(headway.cli.verbs.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == set(COMMANDS)


def test_the_package_lists_its_public_names_only() -> None:
    assert dir(headway) == ["LightningCallback", "TrainerCallback", "__version__", "load", "track"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str, run: Callable[..., object]) -> None:
    shown = run(name, "--help")
    assert shown.code == 0
    assert shown.out.startswith(f"Usage: headway {name}")
    if name != "catalog":  # a group: its commands have the examples
        assert "Examples:" in shown.out


def test_help_lists_every_command(run: Callable[..., object]) -> None:
    shown = run("--help").out
    assert all(f"  {name} " in shown for name in COMMANDS)


def test_a_misspelt_command_is_offered_right(run: Callable[..., object]) -> None:
    outcome = run("estimat")
    assert outcome.code == 2
    assert "Did you mean estimate?" in outcome.err


def raising(error: BaseException) -> Callable[[], object]:
    def fail() -> object:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("a rule"), 1),
        (UsageError("a rule"), 2),
        (PlanError("a rule"), 3),
        (click.UsageError("a rule"), 2),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (ValueError("boom\nsecond line"), 1),
    ],
)
def test_each_error_has_its_exit_code(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(raising(error)) == code
    assert capsys.readouterr().out == ""


def test_a_fault_of_our_own_is_one_line_and_a_plea(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADWAY_DEBUG", raising=False)
    exit_code_of(raising(ValueError("boom\nsecond line")))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "error: headway failed with ValueError: boom second line"
    assert "please report it" in lines[1]
    assert len(lines) == 2


def test_debug_shows_where_it_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_DEBUG", "1")
    with pytest.raises(ValueError, match="boom"):
        exit_code_of(raising(ValueError("boom")))


def test_what_a_command_returns_is_its_exit_code() -> None:
    assert exit_code_of(lambda: 4) == 4
    assert exit_code_of(lambda: None) == 0


def test_the_installed_command_ends_with_the_code_and_no_traceback() -> None:
    done = process("estimate", "no-such-plan.yaml")
    assert done.returncode == 3
    assert done.stdout == ""
    assert "no-such-plan.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_is_no_error() -> None:
    child = subprocess.Popen(
        [*SHELL, "catalog", "offers", "--format", "csv"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stderr is not None
    assert child.stdout.readline().startswith("provider,")
    child.stdout.close()
    assert child.stderr.read() == ""
    child.stderr.close()
    assert child.wait() in (0, 1)


def test_no_color_off_a_terminal_and_color_when_forced(plan: str) -> None:
    assert "\x1b" not in process("estimate", plan).stdout
    assert "\x1b[1m" in process("estimate", plan, FORCE_COLOR="1").stdout
    assert "\x1b" not in process("estimate", plan, FORCE_COLOR="1", NO_COLOR="1").stdout


def test_output_is_utf_8_in_any_locale(plan: str) -> None:
    done = process("estimate", plan, LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert "─" in done.stdout


def test_no_heavy_library_is_ever_imported(plan: str) -> None:
    code = (
        "import sys\nfrom headway.cli import main\n"
        f"sys.argv = ['headway', 'estimate', {plan!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0, end.code\n"
        "heavy = {'torch', 'pandas', 'transformers', 'requests', 'httpx'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip().endswith("HEAVY []"), done.stderr
