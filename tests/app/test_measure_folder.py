"""Where a probe saves what it trains: beside the plan, else in a temporary folder, else a sentence."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path
from typing import Any

import pytest

from headway.app import measure as verb
from headway.domain.errors import UserError

MADE = tempfile.TemporaryDirectory


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv("HEADWAY_STORE")
    return str(tmp_path / "plan.yaml")


def test_beside_the_plan_and_gone_afterwards(plan: str) -> None:
    with verb._scratch(plan) as folder:
        assert Path(folder).parent == Path(plan).parent / ".headway"
    assert not Path(folder).exists()


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_elsewhere_where_that_cannot_be(plan: str, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refusing(prefix: str, dir: Path | None = None) -> Any:
        if dir is not None:
            raise OSError(code, "no")
        return MADE(prefix=prefix)

    monkeypatch.setattr(verb.tempfile, "TemporaryDirectory", refusing)
    with verb._scratch(plan) as folder:
        assert Path(folder).is_dir()
        assert Path(plan).parent not in Path(folder).parents


def test_nowhere_is_a_sentence(plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(**given: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(verb.tempfile, "TemporaryDirectory", refusing)
    with pytest.raises(UserError, match="No space left"), verb._scratch(plan):
        pass


def test_what_fails_inside_is_not_the_folders_fault(plan: str) -> None:
    with pytest.raises(PermissionError), verb._scratch(plan):
        raise PermissionError("of the worker")
