"""The verb `diff`: two versions of a plan, estimated and compared.

Owns reading versions from files and from git. Comparing is `report/changes.py`.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headway.app.check import findings
from headway.app.estimate import answer
from headway.app.inputs import Request, as_keys
from headway.domain.errors import Finding, PlanError, UsageError
from headway.plan import PlanFile, read_plan
from headway.report.changes import Changes, compared


def diff(old: str, new: str, request: Request, assume: Mapping[str, Any]) -> Changes:
    """What changes from version `old` to `new`: file names, or `REVISION:FILE` as git writes it."""
    versions = [_version(name) for name in (old, new)]
    versions = [one.override(as_keys(assume)) if assume else one for one in versions]
    here, there = (answer(one, request) for one in versions)
    before, after = ({_key(found): found for found in findings(one, request)} for one in versions)
    return compared(
        old, new, here, there,
        found=tuple(one for key, one in after.items() if key not in before),
        cured=tuple(one for key, one in before.items() if key not in after),
    )  # fmt: skip


def _key(finding: Finding) -> tuple[str, str]:
    """What makes two findings the same remark, wherever they stand in the file and whatever figures they hold."""
    return finding.code, re.sub(r"[\d.,]+", "#", finding.message)


def _version(name: str) -> PlanFile:
    """The plan file of that name, or the one that git holds under `REVISION:FILE`."""
    if Path(name).exists() or ":" not in name:
        return read_plan(name)
    folder = os.path.dirname(name.partition(":")[2])
    return read_plan(name, text=_from_git(name), folder=folder if os.path.isdir(folder) else "")


def _from_git(name: str) -> str:
    """A file as a revision has it; relative paths start in the working directory, then at the repository's root.

    Raises UserError where git says no.
    """
    revision, _, path = name.partition(":")
    if revision.startswith("-"):
        raise UsageError("a revision is not a flag", got=name, hint="Write HEAD~1:plan.yaml.")
    plain = path.startswith(("./", "../", "/"))
    done = _shown(name, f"{revision}:{path}" if plain else f"{revision}:./{path}")
    if done.returncode and not plain:  # as git reads it: from the root of the repository
        rooted = _shown(name, f"{revision}:{path}")
        done = done if rooted.returncode else rooted
    if done.returncode:
        said = done.stderr.decode("utf-8", errors="replace").strip().splitlines()
        raise PlanError("git must know the version", got=name, hint=said[0] if said else "Give two files.")
    try:
        return done.stdout.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PlanError("a plan is UTF-8 text", got=name, hint="Save the file as UTF-8.") from error


def _shown(name: str, asked: str) -> subprocess.CompletedProcess[bytes]:
    """What `git show` says of an object; nothing of its name reaches a shell. Raises UsageError without git."""
    try:
        return subprocess.run(["git", "show", asked], capture_output=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError("git is needed to read a revision", got=name, hint="Give two files.") from error
