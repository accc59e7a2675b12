"""How a program of the worker room ends: by itself, at its limit, or by the system, and what is said of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from headway.app.worker import TOO_LONG, run_worker, stream_worker
from headway.domain.errors import UsageError, UserError


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that stands for Python with the worker; it is a shell script."""
    fake = tmp_path / "python"
    monkeypatch.setattr(sys, "executable", str(fake))
    return fake


def scripted(program: Path, code: str) -> None:
    program.write_text(f"#!/bin/sh\n{code}\n", encoding="utf-8")
    program.chmod(0o755)


def test_what_was_heard_before_the_limit_is_kept(program: Path) -> None:
    scripted(program, """echo '{"event": "sample"}'\nexec sleep 60""")
    heard: list[dict[str, Any]] = []
    assert stream_worker("bench", "{}", heard.append, 0.5) == TOO_LONG
    assert heard == [{"event": "sample"}]


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        ("echo 'a warning' >&2\nkill -9 $$", UserError, "was killed, as Linux does where memory ends"),
        ("echo 'noise\nerror: no torch' >&2; exit 1", UserError, "no torch"),
        ("echo 'error: no task' >&2; exit 2", UsageError, "no task"),
        ("exit 9", UserError, "ended with 9"),
    ],
)
def test_how_a_program_failed_is_said(program: Path, code: str, kind: type[UserError], said: str) -> None:
    scripted(program, code)
    for run in (lambda: stream_worker("bench", "{}", lambda line: None, 60.0), lambda: run_worker("bench", [])):
        with pytest.raises(UserError, match=said) as refusal:
            run()
        assert type(refusal.value) is kind
