"""What happens where standard output ends early, or was never there."""

from __future__ import annotations

import subprocess
import sys

COMMAND = [sys.executable, "-m", "headway", "catalog", "devices"]


def test_a_reader_that_leaves_has_read_what_it_wanted() -> None:
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        assert run.stderr.read() == b""
        assert run.wait() == 0


def test_a_closed_output_is_said() -> None:
    done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "standard output must be open" in done.stderr
    assert "fault of headway" not in done.stderr
