"""The program's words, and what it says without the libraries: nothing here needs torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from headway.domain.errors import UsageError, UserError
from headway.worker import trace


def test_a_missing_library_is_named_with_what_to_install() -> None:
    with pytest.raises(UserError, match=r"no no_such_one, no no_such_two. pip install 'headway\[train\]'"):
        trace.require(("json", "no_such_one", "no_such_two"))


def test_what_is_installed_is_not_missing() -> None:
    trace.require(("json",))


def test_a_config_is_read_from_a_file_or_its_folder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    assert trace.read_config(str(tmp_path)) == trace.read_config(str(tmp_path / "config.json"))


@pytest.mark.parametrize(("text", "says"), [("{", "must be JSON"), ("[1]", "must be an object"), ("[" * 10**5, "JSON")])
def test_a_broken_config_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=says):
        trace.read_config(str(tmp_path))


def test_libraries_that_are_too_old_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr(trace, "require", lambda: None)
    monkeypatch.setitem(sys.modules, "headway.worker.training.models", None)  # importing it fails from here on
    monkeypatch.setattr(sys, "argv", ["trace", str(tmp_path)])
    assert trace.main() == 1
    said = capsys.readouterr().err
    assert "newer training libraries" in said
    assert len(said.splitlines()) == 1


def program(*words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "headway.worker.trace", *words], input=given, capture_output=True, text=True, check=False
    )


def test_a_file_that_is_not_there_is_one_line_and_usage(tmp_path: Path) -> None:
    done = program(str(tmp_path / "none.json"))
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "none.json" in done.stderr


@pytest.mark.parametrize("words", [("--batch", "0"), ("--seq", "-1"), ("--dtype", "fp8"), ("--rank", "x"), ("--what",)])
def test_words_that_mean_nothing_are_usage(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        trace.answer(["config.json", *words])
    assert end.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_the_words_are_read_without_the_libraries() -> None:
    code = "import json, sys, headway.worker.trace; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "numpy", "click"} & set(json.loads(done.stdout))


def test_the_room_runs_on_a_bare_node(tmp_path: Path) -> None:
    """Copied with `domain` alone, the program reads its words and says what is missing there."""
    package = Path(trace.__file__).parents[1]
    for room in ("domain", "worker"):
        shutil.copytree(package / room, tmp_path / "headway" / room)
    shutil.copy(package / "__init__.py", tmp_path / "headway")
    code = "import sys, headway.worker.trace as one; print(one.__file__); one.require(('no_such_one',))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith(str(tmp_path))
    assert "no no_such_one" in done.stderr
