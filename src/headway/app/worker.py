"""Programs of the worker room, each run in a process of its own: only there are the training libraries imported.

Owns the process and what of its failure is said.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from headway.domain.errors import UsageError, UserError


def run_worker(program: str, words: Sequence[str], given: str = "") -> dict[str, Any]:
    """The JSON object that `python -m headway.worker.PROGRAM WORDS` prints last; `given` is its standard input.

    Nothing is downloaded. Raises UserError with the last line that the program says when it fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", f"headway.worker.{program}", *words],
        input=given,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"the worker ended with {done.returncode} and said nothing"])[-1]
        kind = UsageError if done.returncode == 2 else UserError
        raise kind(said.removeprefix("error: "))
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found
