"""`headway watch` from the outside: what it passes on, says, and leaves with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import headway
from headway.app import watched_log
from headway.app.watched import Asked, Follower
from headway.domain.observation import Observation, times_of
from headway.store import open_store

SOURCE = str(Path(headway.__file__).parents[1])
TRAINING = """
import sys, time
for step in range(1, 41):
    time.sleep(0.005)
    print(f"Step {step} | loss:{1 / step} lr:0.001", flush=True)
    sys.stderr.write(f"\\r{step * 100 // 40:3d}%|bar| {step}/40 [00:00<00:00, 9.00it/s]")
print("wide: \\u00e9\\u4e2d")
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a training of 40 steps in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(TRAINING, encoding="utf-8")
    return tmp_path


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HEADWAY")}
    return {**kept, "PYTHONPATH": SOURCE, "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"}


def run(*words: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "headway", "watch", *words]
    return subprocess.run(command, env=environment(), capture_output=True, timeout=60, check=False)


def training(code: int = 0) -> Sequence[str]:
    return (sys.executable, "train.py", str(code))


@pytest.mark.parametrize("code", [0, 3])
def test_output_and_exit_code_are_the_commands_own(here: Path, code: int) -> None:
    alone = subprocess.run(training(code), env=environment(), capture_output=True, check=False)
    done = run("--", *training(code))
    assert done.returncode == code
    assert done.stdout == alone.stdout
    assert done.stderr.startswith(alone.stderr)
    assert b"40 of 40 (100 %)" in done.stderr
    assert b"next: headway verify " in done.stderr


def test_with_json_stdout_is_the_page(here: Path) -> None:
    done = run("--json", "--price", "$36/h", "--", *training())
    page = json.loads(done.stdout)
    assert (page["schema"], page["state"], page["exit_code"]) == ("headway.watch/1", "ended", 0)
    assert (page["step"], page["total_steps"]) == (40, 40)
    assert page["usd"]["spent"] == pytest.approx(page["elapsed_s"] / 100)
    assert b"Step 40 |" in done.stderr
    assert [folder.name for folder in (here / ".headway" / "runs").iterdir()] == [page["run"]]


def test_a_signal_that_ended_the_command_is_passed_on(here: Path) -> None:
    done = run("--", "sh", "-c", "kill -TERM $$")
    assert done.returncode == 128 + signal.SIGTERM


HEEDING = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.executable, sys.argv[1:])"
"""Starts a program that heeds Ctrl-C as on a terminal, also where the tests run behind `&`, whose children do not."""


def test_ctrl_c_is_the_commands_to_answer(here: Path) -> None:
    program = (
        "import time\ntry:\n  print('ready', flush=True); time.sleep(30)\nexcept KeyboardInterrupt:\n  print('saved')"
    )
    words = [sys.executable, "-m", "headway", "watch", "--", sys.executable, "-c", program]
    with subprocess.Popen([sys.executable, "-c", HEEDING, *words], env=environment(), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(signal.SIGINT)
        rest, _ = child.communicate(timeout=20)
    assert (rest, child.returncode) == (b"saved\n", 0)


def test_a_reader_that_has_gone_ends_the_command(here: Path) -> None:
    """`watch -- COMMAND | head`: as it would without us."""
    words = [sys.executable, "-m", "headway", "watch", "--", "sh", "-c", "while echo line; do sleep 0.01; done"]
    with subprocess.Popen(words, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == b"line\n"
        child.stdout.close()
        assert child.wait(timeout=20) == 128 + signal.SIGPIPE


def test_a_terminal_of_another_size_is_the_commands_too(here: Path) -> None:
    program = (
        "import os, time\n"
        "before = now = os.get_terminal_size(1).columns\n"
        "print(before, flush=True)\n"
        "until = time.monotonic() + 10\n"
        "while now == before and time.monotonic() < until:\n"
        "    time.sleep(0.01)\n"
        "    now = os.get_terminal_size(1).columns\n"
        "print(now)"
    )
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 81))
    words = [sys.executable, "-m", "headway", "watch", "--", sys.executable, "-c", program]
    with subprocess.Popen(words, env=environment(), stdin=subprocess.DEVNULL, stdout=theirs,
                          stderr=subprocess.DEVNULL) as child:  # fmt: skip
        os.close(theirs)
        said = os.read(ours, 100)
        termios.tcsetwinsize(ours, (24, 99))
        child.send_signal(signal.SIGWINCH)
        while len(said.split()) < 2 or not said.endswith(b"\n"):
            said += os.read(ours, 100)
    os.close(ours)
    assert said.split() == [b"81", b"99"]


def test_a_command_that_says_nothing_is_told_how_to(here: Path) -> None:
    done = run("--", "echo", "hello")
    assert (done.returncode, done.stdout) == (0, b"hello\n")
    assert b"othing in the output was recognised" in done.stderr
    assert b"logging_steps" in done.stderr
    assert not (here / ".headway").exists()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--", "no-such-program-at-all"), 1, "No such file"),
        (("--",), 2, "is watched"),
        (("run", "--", "true"), 2, "is watched"),
        (("--once", "--", "true"), 2, "is watched"),
        (("no-such-run",), 2, "no such file, folder or run"),
        ((), 2, "there is no run in .headway"),
        (("--experiment", "qa"), 2, "without --plan"),
        (("train.py", "--every", "soon"), 2, "a duration is needed"),
        (("train.py",), 1, "without a step and its figures"),
    ],
)
def test_mistakes_are_answered(here: Path, words: Sequence[str], code: int, says: str) -> None:
    done = run(*words)
    text = " ".join(done.stderr.decode().split())
    assert done.returncode == code, text
    assert says in text
    assert "Traceback" not in text


def events(folder: Path, steps: int, *, total: int, end: bool = False) -> Path:
    header = {"schema": "headway.events/1", "started": "2026-11-21T10:00:00Z", "total_steps": total}
    items = [Observation(kind="begin", at_s=0.0)]
    items += [Observation(kind="step", at_s=2.0 * n, seconds=2.0, step=n, steps=1) for n in range(1, steps + 1)]
    items += [Observation(kind="end", at_s=2.0 * steps)] if end else []
    folder.mkdir(parents=True)
    text = "\n".join([json.dumps(header), *(item.to_line() for item in items)])
    (folder / "events.jsonl").write_text(text + "\n", encoding="utf-8")
    return folder


def test_once_says_what_is_left(here: Path) -> None:
    """10 of 100 steps of 2 s: 180 s are left, less what has passed since."""
    events(here / "run", 10, total=100)
    page = json.loads(run("run", "--once", "--json").stdout)
    assert page["state"] == "running"
    assert page["left_s"]["p50"] == pytest.approx(180.0, abs=20.0)
    assert page["whole_s"]["p50"] == pytest.approx(200.0)


def test_a_sample_of_the_machine_is_no_progress(here: Path) -> None:
    """15 s after the last of 10 steps of 2 s: 180 s were left then, 165 s now."""
    folder = events(here / "run", 10, total=100)
    with (folder / "events.jsonl").open("a", encoding="utf-8") as out:
        out.write(Observation(kind="device", at_s=35.0, values={"temperature_c": 60.0}).to_line() + "\n")
    page = json.loads(run("run", "--once", "--json").stdout)
    assert page["elapsed_s"] >= 35.0
    assert page["whole_s"]["p50"] == pytest.approx(200.0)


def test_a_folder_is_waited_for_until_it_holds_a_log(here: Path) -> None:
    (here / "out").mkdir()
    (here / "out" / "config.json").write_text("{}", encoding="utf-8")
    words = [sys.executable, "-m", "headway", "watch", "out", "--every", "100 ms"]
    with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stderr is not None
        first = child.stderr.readline()
        events(here / "out" / "run", 2, total=2, end=True)
        said, _ = child.communicate(timeout=30)
    assert first.startswith(b"headway: waiting: a folder of a run holds a log")
    assert b"2 of 2 (100 %)" in said
    assert child.returncode == 0


def test_a_folder_that_has_become_no_log_is_refused_when_it_is_stale(here: Path) -> None:
    (here / "out").mkdir()
    (here / "out" / "config.json").write_text("{}", encoding="utf-8")
    old = time.time() - 100.0
    os.utime(here / "out" / "config.json", (old, old))
    done = run("out", "--stale", "50 s")
    assert done.returncode == 1
    assert b"a folder of a run holds a log" in done.stderr


def test_what_is_deleted_while_it_is_looked_at_is_no_fault(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "walk", lambda path: [(str(path), [], ["train.py", "gone"])])
    assert [file.st_size for file in watched_log._files(here)] == [len(TRAINING)]
    assert watched_log._changed(here / "gone", 1.5) == 1.5


def test_a_run_that_has_ended_is_reported_at_once(here: Path) -> None:
    folder = events(here / ".headway" / "runs" / "20261121-100000-abcd", 5, total=5, end=True)
    for words in ((), ("20261121",), (str(folder),)):
        done = run(*words)
        assert done.returncode == 0
        assert b"5 of 5 (100 %)" in done.stdout
        assert b"next: headway verify" in done.stdout


def test_a_log_that_no_longer_grows_is_left(here: Path) -> None:
    folder = events(here / "run", 5, total=50)
    old = time.time() - 100.0
    os.utime(folder / "events.jsonl", (old, old))
    done = run("run", "--stale", "50 s")
    assert done.returncode == 1
    assert b"the run may have died" in done.stdout


def test_a_run_is_followed_to_its_end(here: Path) -> None:
    folder = events(here / "run", 5, total=6)
    words = [sys.executable, "-m", "headway", "watch", "run", "--every", "100 ms"]
    with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stderr is not None
        first = child.stderr.readline()
        with (folder / "events.jsonl").open("a", encoding="utf-8") as out:
            for item in (Observation(kind="step", at_s=12.0, seconds=2.0, step=6, steps=1),
                         Observation(kind="end", at_s=12.0, step=6)):  # fmt: skip
                out.write(item.to_line() + "\n")
        said, _ = child.communicate(timeout=30)
    assert b"83% 5/6" in first
    assert b"6 of 6 (100 %)" in said
    assert child.returncode == 0


def test_the_last_step_is_not_the_end(here: Path) -> None:
    """The final evaluation and save come after it; headway's own events say when they are over."""
    events(here / "run", 6, total=6)
    assert json.loads(run("run", "--once", "--json").stdout)["state"] == "running"


def test_the_log_of_another_tool_ends_with_the_evaluation_that_it_showed_before() -> None:
    follower = Follower(Asked(total_steps=100))

    def take(kind: str, step: int) -> None:
        follower.take([Observation(kind=kind, step=step, steps=50, seconds=50.0)], None)

    take("step", 50)
    take("evaluation", 50)
    take("step", 100)
    assert not follower.ended
    take("evaluation", 100)
    assert follower.ended


def test_a_resumed_command_did_the_steps_that_it_did(here: Path) -> None:
    """From a bar that begins at 30 of 40: ten steps, of which `verify` is told (with that of the first print)."""
    program = (
        "import sys, time\n"
        "for n in range(30, 41):\n"
        "    time.sleep(0.03)\n"
        "    sys.stderr.write(f'\\r{n * 100 // 40:3d}%|bar| {n}/40 [00:{n - 30:02d}<00:09, 1.00it/s]')\n"
    )
    (here / "resumed.py").write_text(program, encoding="utf-8")
    assert run("--", sys.executable, "resumed.py").returncode == 0
    with open_store(here / ".headway" / "headway.db") as store:
        (record,) = store.read("run")
    assert record.body["steps"] in (10, 11)
    assert record.body["total_steps"] == 40


def test_a_checkpoint_that_logged_nothing_says_how_far_it_is(here: Path) -> None:
    """Below `logging_steps` a Trainer's state has no row; the last checkpoint of a run that is over says so."""
    (here / "out" / "checkpoint-120").mkdir(parents=True)
    state = {"global_step": 120, "max_steps": 120, "log_history": []}
    (here / "out" / "checkpoint-120" / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")
    page = json.loads(run("out", "--once", "--json").stdout)
    assert (page["state"], page["step"], page["total_steps"]) == ("ended", 120, 120)


def test_a_command_that_fails_at_once_has_nothing_left(here: Path) -> None:
    done = run("--", "false")
    assert done.returncode == 1
    assert b"failed before any progress" in done.stderr
    assert b"left" not in done.stderr


def test_moments_count_since_the_command_began(here: Path) -> None:
    """That a bar without words is the training's is known late: its steps were done when they were printed."""
    program = (
        "import sys, time\n"
        "for n in range(5):\n"
        "    time.sleep(0.1)\n"
        "    sys.stderr.write(f'\\r{n * 25:3d}%|bar| {n}/4 [00:00<00:09, 1.00it/s]')\n"
        "time.sleep(0.3)"
    )
    assert run("--", sys.executable, "-c", program).returncode == 0
    last = {item["kind"]: item for item in said_of_the_run(here) if "kind" in item}
    assert last["begin"]["at_s"] >= 0.1
    assert last["step"]["step"] == 4
    assert last["end"]["at_s"] >= last["step"]["at_s"] + 0.2


@pytest.mark.parametrize(("words", "total"), [((), 30), (("--steps", "50"), 50)], ids=["printed late", "asked for"])
def test_the_log_of_a_command_says_how_many_steps_there_are(here: Path, words: Sequence[str], total: int) -> None:
    program = (
        "import time\n"
        "for n in range(1, 5):\n"
        "    time.sleep(0.05)\n"
        "    print(f'Step {n} | loss:1.0', flush=True)\n"
        "    print('Total optimization steps = 30' if n == 2 else '', flush=True)"
    )
    assert run(*words, "--", sys.executable, "-c", program).returncode == 0
    heads = [said["total_steps"] for said in said_of_the_run(here) if "schema" in said]
    assert heads == ([None, total] if not words else [total])
    assert json.loads(run("--json").stdout)["total_steps"] == total


def said_of_the_run(here: Path) -> list[dict[str, Any]]:
    (path,) = (here / ".headway" / "runs").glob("*/events.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_of_a_run_sums_are_kept() -> None:
    items = [Observation(kind="step", seconds=0.5 * n, wait_s=0.1, step=n, steps=1) for n in range(1, 4)]
    items.append(Observation(kind="evaluation", seconds=9.0, step=3))
    follower = Follower(Asked())
    for item in items:
        follower.take([item, replace(item, rank=1)] if follower.seen else [item], None)
    assert follower.answer("", "running", "").times == times_of(items)


EPOCHS = """
import time
for epoch in range(1, 6):
    time.sleep(0.05)
    print(f"Epoch [{epoch}/5], Train Loss: {1 / epoch:.3f}, Val Loss: 0.4", flush=True)
"""


def test_a_command_that_tells_of_epochs_alone(here: Path) -> None:
    """That the first line stood at the end of its epoch is known with the second."""
    (here / "train.py").write_text(EPOCHS, encoding="utf-8")
    page = json.loads(run("--json", "--", sys.executable, "train.py").stdout)
    assert (page["state"], page["source"]) == ("ended", "epoch")
    assert (page["epoch"], page["total_epochs"], page["step"]) == (5, 5, 0)
    (phase,) = page["phases"]
    assert (phase["term"], phase["units"]) == ("epoch", 4)
    assert phase["seconds"] >= 4 * 0.05
    kept = json.loads(run(page["run"], "--once", "--json").stdout)
    assert (kept["epoch"], kept["total_epochs"], kept["state"]) == (5, 5, "ended")


def test_the_log_of_a_run_in_epochs_says_what_is_left(here: Path) -> None:
    """Two of five epochs of 60 s are done; without their number --epochs tells it."""
    lines = [f"2026-11-21 10:0{k}:00,000 INFO Epoch {k} loss: 0.5" for k in (1, 2)]
    (here / "train.log").write_text("\n".join(lines) + "\n", encoding="utf-8")
    said = run("train.log", "--once").stdout.decode()
    assert "the log does not say how many epochs there are; --epochs N does" in " ".join(said.split())
    page = json.loads(run("train.log", "--once", "--epochs", "5", "--json").stdout)
    assert page["left_s"]["p50"] == pytest.approx(180.0, abs=20.0)


TRACKED = """
import headway, time
for step in headway.track(range(1, 41)):
    time.sleep(0.005)
    print(f"Step {step} | loss:1")
"""


def test_a_command_that_tracks_itself_is_one_run(here: Path) -> None:
    """The loop's own record names the run that watched it, whatever that saw of it."""
    (here / "train.py").write_text(TRACKED, encoding="utf-8")
    done = run("--json", "--", sys.executable, "train.py")
    watching = json.loads(done.stdout)["run"]
    with open_store(str(here / ".headway" / "headway.db")) as store:
        bodies = {str(record.body["run"]): record.body for record in store.read("run")}
    (own,) = bodies.keys() - {watching}
    assert bodies[own]["watched_by"] == watching
    assert "watched_by" not in bodies[watching]


def watched_from(first: str, program: str, log: Path) -> subprocess.CompletedProcess[bytes]:
    """`watch` of the file that a program prints to, from when `first` stands in it."""
    with log.open("w", encoding="utf-8") as out, subprocess.Popen([sys.executable, "-c", program], stdout=out):
        while first not in log.read_text(encoding="utf-8"):
            time.sleep(0.05)
        return run(log.name, "--every", "0.1s", "--json")


def test_a_log_without_times_is_timed_as_it_grows(here: Path) -> None:
    """Ten epochs of 0.3 s, of which the log says nothing but that they are over."""
    program = (
        "import time\n"
        "for epoch in range(1, 11):\n"
        "    time.sleep(0.3)\n"
        "    print(f'Epoch [{epoch}/10], loss: 0.5', flush=True)\n"
    )
    done = watched_from("Epoch [2", program, here / "train.log")
    page = json.loads(done.stdout)
    (phase,) = page["phases"]
    assert phase["units"] >= 4
    assert phase["seconds"] / phase["units"] == pytest.approx(0.3, abs=0.1)
    assert b"epochs [" in done.stderr and b"ms/epoch" in done.stderr


def test_arrivals_count_from_the_first_that_was_seen_to_come() -> None:
    said = [Observation(kind="step", step=n, steps=1) for n in range(1, 11)]
    arrivals = watched_log.Arrivals()
    seen = [arrivals.timed(said[:count], now_s) for count, now_s in ((3, 0.0), (3, 10.0), (4, 20.0), (6, 40.0))]
    assert [[item.seconds for item in one] for one in seen][2:] == [[None] * 4, [None] * 4 + [10.0, 10.0]]
    told = [Observation(kind="step", step=1, steps=1, seconds=2.0)]
    assert watched_log.Arrivals().timed(told, 0.0) == told


def test_epochs_that_begin_again_are_followed_further(here: Path) -> None:
    """Two rounds of three epochs of 0.4 s: after the first the run is not over."""
    program = (
        "import time\n"
        "for epoch in (1, 2, 3, 1, 2, 3):\n"
        "    time.sleep(0.4)\n"
        "    print(f'Epoch {epoch}/3 loss: 0.5 time: 0.4 s', flush=True)\n"
    )
    log = here / "train.log"
    page = json.loads(watched_from("Epoch 1", program, log).stdout)
    assert log.read_text(encoding="utf-8").count("Epoch 3/3") == 2
    assert (page["state"], page["epoch"]) == ("ended", 3)
