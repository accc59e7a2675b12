"""`headway.track` around a loop: batches untouched, events kept, a record at the end, whatever happens in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import headway
from headway.app.runs import read_run
from headway.domain.errors import UsageError
from headway.domain.observation import SCHEMA, Observation
from headway.domain.record import Record
from headway.logs.read import read_log
from headway.store import open_store
from headway.track.meter import RANKS

SOURCE = str(Path(headway.__file__).parents[1])


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own, without what the environment says of tracking."""
    monkeypatch.chdir(tmp_path)
    for name in ("HEADWAY_STORE", "HEADWAY_TRACK", *RANKS):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def events(run: str) -> list[dict[str, Any]]:
    lines = Path(".headway/runs", run, "events.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def runs() -> list[Record]:
    with open_store(".headway/headway.db") as store:
        return list(store.read("run"))


@pytest.mark.parametrize(
    "code",
    [
        "import headway; t = headway.track",
        "import headway.track.remaining, headway; t = headway.track",
        "import headway; t = headway.track; from headway.track.remaining import Remaining",
        "from headway import track as t",
        "from headway.track.loop import Tracked; import headway.track; t = headway.track",
        "import headway; headway.track; headway.track; t = headway.track",
    ],
)
def test_the_room_is_the_function_in_any_order_of_imports(code: str) -> None:
    program = f"{code}\nimport types; assert isinstance(t, types.ModuleType), t\nassert list(t([1, 2])) == [1, 2]"
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": SOURCE}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_every_batch_comes_once_an_epoch_in_order() -> None:
    loop = headway.track(["a", "b", "c"], epochs=2)
    assert len(loop) == 6
    assert list(loop) == ["a", "b", "c", "a", "b", "c"]


def test_micro_batches_are_counted_into_steps() -> None:
    loop = headway.track([[0] * 5] * 10, epochs=2, accumulate=4, tokens=len)
    list(loop)
    steps = [item for item in events(loop.run) if item.get("kind") == "step"]
    assert (loop.meter.step, loop.left().total_steps) == (5, 5)
    assert sum(item["steps"] for item in steps) == 5
    assert sum(item["tokens"] for item in steps) == 100


def test_steps_end_the_run_also_where_the_loader_has_no_length() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    loop = headway.track(endless(), steps=7)
    assert len(list(loop)) == 7
    assert loop.left().total_steps == 7
    with pytest.raises(TypeError):
        len(loop)


def test_the_events_begin_with_a_header_and_are_read_back() -> None:
    loop = headway.track([1, 2, 3], accumulate=1)
    for _ in loop:
        with loop.evaluation():
            pass
    with loop.saving(final=True):
        pass
    header, *rest = events(loop.run)
    assert (header["schema"], header["total_steps"], header["grad_accum"]) == (SCHEMA, 3, 1)
    kinds = [Observation.from_mapping(item).kind for item in rest]
    assert kinds[0] == "begin" and kinds[-1] == "end"
    assert kinds.count("evaluation") == 3 and kinds.count("final_save") == 1
    log = read_log(Path(".headway/runs", loop.run))
    assert (log.format, log.total_steps) == ("headway", 3)


def test_time_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that moves by hand: 0.25 s for a batch, 1 s of work, an evaluation of 5 s, two steps of two."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def loader() -> Iterator[int]:
        for number in range(4):
            now[0] += 0.25
            yield number

    loop = headway.track(loader(), accumulate=2)
    for number in loop:
        now[0] += 1.0
        if number == 2:
            with loop.evaluation():
                now[0] += 5.0
    times = loop.meter.journal.times()
    assert {term: (timed.seconds, timed.units) for term, timed in times.items()} == {
        "step": (4.0, 2.0), "data_wait": (1.0, 2.0), "evaluation": (5.0, 1.0),
    }  # fmt: skip
    (record,) = runs()
    assert record.body["wall_s"] == 10.0
    assert record.body["stages"][""]["evaluation"] == {"seconds": 5.0, "units": 1}


def test_what_was_slow_from_the_beginning_is_told_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of every step waits for its batch: no change of pace, and worth a word after more than a minute."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    for steps in (20, 80):

        def loader(steps: int = steps) -> Iterator[int]:
            for number in range(steps):
                now[0] += 0.5
                yield number

        for _ in headway.track(loader()):
            now[0] += 0.5
        assert ("50 % of the steps' time is waiting for data" in capsys.readouterr().err) == (steps == 80)


def test_a_record_is_kept_and_says_what_the_contract_says() -> None:
    loop = headway.track([1] * 4, quiet=True)
    list(loop)
    (record,) = runs()
    assert record.body["schema"] == "headway.run/1"
    assert (record.body["run"], record.body["steps"], record.body["total_steps"]) == (loop.run, 4, 4)
    keys = {"schema", "run", "plan", "experiment", "stages", "wall_s", "started", "ended", "device", "machine"}
    assert keys | {"source", "name", "steps", "total_steps", "problems"} == set(record.body)


@pytest.mark.parametrize("raised", [ValueError, KeyboardInterrupt])
def test_an_exception_is_the_loops_own_and_the_run_is_kept(raised: type[BaseException]) -> None:
    loop = headway.track([1, 2, 3, 4])
    with pytest.raises(raised):
        for batch in loop:
            if batch == 3:
                raise raised
    assert events(loop.run)[-1]["kind"] == "end"
    (record,) = runs()
    assert (record.body["steps"], record.body["total_steps"]) == (2, 4)


def test_a_break_closes_the_run() -> None:
    loop = headway.track([1, 2, 3])
    for _ in loop:
        break
    assert events(loop.run)[-1]["kind"] == "end"


def test_a_loop_that_goes_on_is_one_run() -> None:
    loop = headway.track([1, 2])
    for _ in range(3):
        list(loop)
    assert loop.meter.step == 6
    assert max(record.body["steps"] for record in runs()) == 6
    assert {record.body["run"] for record in runs()} == {loop.run}


def test_kill_9_loses_no_event(here: Path) -> None:
    """A child prints how many steps it was told are written; all of them are there after it was killed."""
    program = (
        "import headway, time\n"
        "from headway.track import meter\n"
        "meter.SHORTEST_S = 0.0\n"
        "for n in headway.track(list(range(10000)), run_dir='run', quiet=True):\n"
        "    print(n, flush=True); time.sleep(0.001)\n"
    )
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    with subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        told = next(int(line) for line in child.stdout if int(line) >= 50)
        child.send_signal(signal.SIGKILL)
        told = max([told, *(int(line) for line in child.stdout if line.endswith("\n"))])
    steps = [item.step for item in read_log(here / "run").observations if item.kind == "step"]
    assert max(step for step in steps if step is not None) >= told


def test_what_cannot_be_written_is_a_warning(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / ".headway").write_text("a file where the folder would be", encoding="utf-8")
    assert list(headway.track([1, 2, 3])) == [1, 2, 3]
    said = capsys.readouterr().err
    assert "no events are written" in said
    assert "not recorded" in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_a_full_disk_stops_the_events_and_not_the_loop(capsys: pytest.CaptureFixture[str]) -> None:
    loop = headway.track([1, 2, 3])
    os.close(loop.meter.journal._out)
    loop.meter.journal._out = os.open("/dev/full", os.O_WRONLY)
    assert list(loop) == [1, 2, 3]
    assert "no longer written" in capsys.readouterr().err


@pytest.mark.parametrize(("variable", "value"), [("HEADWAY_TRACK", "off"), ("RANK", "1")])
def test_nothing_is_written_where_it_is_off_or_another_process_leads(
    here: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    loop = headway.track([1, 2, 3])
    assert list(loop) == [1, 2, 3]
    assert loop.run == ""
    assert not (here / ".headway").exists()


@pytest.mark.parametrize("given", [{"epochs": 0}, {"accumulate": 0}, {"steps": 0}, {"steps": -1}])
def test_counts_begin_at_one(given: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="count from 1"):
        headway.track([1], **given)


def promise(here: Path) -> Path:
    """A store with the estimate of a plan: 10 steps of 2 s, 2 evaluations of 30 s each, $36 an hour."""
    plan = here / "plan.yaml"
    plan.touch()
    term = {"p10": 18.0, "p50": 20.0, "p90": 24.0, "kind": "predicted", "source": ""}
    stage = {"name": "train", "fingerprint": "f", "kind": "train", "steps": 10, "gpus": 1,
             "counts": {"step": 10, "evaluation": 2},
             "terms_s": {"step": term, "evaluation": {**term, "p10": 60, "p50": 60, "p90": 60}}}  # fmt: skip
    body = {"schema": "headway.promise/1", "plan": {"name": "p", "fingerprint": "plan-1", "file": "plan.yaml"},
            "usd_per_hour": 36.0, "experiments": [{"id": "qa", "fingerprint": "e", "stages": [stage]}]}  # fmt: skip
    (here / ".headway").mkdir()
    with open_store(here / ".headway" / "headway.db") as store:
        store.append(Record(kind="estimate", body=body, made="2026-11-20T10:00:00Z"))
    return plan


def test_a_plans_estimate_completes_what_is_not_known(here: Path) -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    loop = headway.track(endless(), plan=promise(here), experiment="qa")
    left = loop.left()
    assert (left.total_steps, left.p50_s) == (10, 20.0 + 60.0)
    assert left.total_usd == pytest.approx(0.8)
    assert events(loop.run)[0]["plan"] == "plan-1"
    with pytest.raises(UsageError, match="the plan of a run is a file"):
        headway.track([1], plan="no-such.yaml")
    with pytest.raises(UsageError, match="an experiment of the plan"):
        headway.track([1], plan=here / "plan.yaml", experiment="no-such")


def test_a_promise_of_another_form_does_not_stop_a_training(here: Path) -> None:
    (here / "plan.yaml").touch()
    (here / ".headway").mkdir()
    body = {"schema": "headway.promise/1", "plan": {"name": "p", "fingerprint": "plan-1", "file": "plan.yaml"},
            "experiments": [{"id": "qa", "stages": [{"name": "train"}]}]}  # fmt: skip
    with open_store(here / ".headway" / "headway.db") as store:
        store.append(Record(kind="estimate", body=body, made="2026-11-20T10:00:00Z"))
    assert list(headway.track([1, 2], plan="plan.yaml", quiet=True)) == [1, 2]


def test_a_plan_without_an_estimate_is_said_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "plan.yaml").touch()
    list(headway.track([1, 2], plan="plan.yaml"))
    assert capsys.readouterr().err.count("headway estimate plan.yaml makes one") == 1


def test_a_further_pass_has_work_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """`for epoch in range(3): for batch in loop`: never 60 of 20 steps."""
    loop = headway.track([1] * 20, quiet=True)
    list(loop)
    half = iter(loop)
    for _ in range(11):
        next(half)
    assert (loop.meter.step, loop.left().total_steps) == (30, 40)
    assert loop.left().p50_s > 0


def test_steps_may_take_several_passes() -> None:
    loop = headway.track([1] * 100, steps=250, quiet=True)
    done = [len(list(loop)) for _ in range(4)]
    assert done == [100, 100, 50, 0]
    assert (loop.meter.step, loop.left().total_steps) == (250, 250)
    log = read_log(Path(".headway/runs", loop.run))
    assert (log.total_steps, {item.attempt for item in log.observations}) == (250, {0})


class Shuffled:
    """What a sampler or data set is told of epochs."""

    def __init__(self) -> None:
        self.told: list[int] = []

    def set_epoch(self, epoch: int) -> None:
        self.told.append(epoch)


def test_what_shuffles_by_epoch_is_told_each() -> None:
    """As the loop over epochs that it replaces would tell a DistributedSampler."""

    class Loader(list[int]):
        def __init__(self) -> None:
            super().__init__([1, 2])
            self.sampler, self.dataset, self.batch_sampler = Shuffled(), Shuffled(), Shuffled()

    loader = Loader()
    for _ in headway.track(loader, epochs=3, quiet=True):
        assert loader.sampler.told[-1:] == loader.dataset.told[-1:] == loader.batch_sampler.told[-1:]
    assert loader.sampler.told == [0, 1, 2]
    tracked = headway.track(loader, epochs=2, start_step=4, quiet=True)
    list(tracked)
    assert loader.sampler.told == [0, 1, 2, 2, 3]
    assert tracked.epoch == 3
    list(headway.track(loader, quiet=True))  # one epoch: the loop around it tells
    assert len(loader.sampler.told) == 5


def test_a_loader_that_tells_its_own_parts_is_told_alone() -> None:
    class Loader(list[int], Shuffled):
        def __init__(self) -> None:
            super().__init__([1])
            self.told, self.sampler = [], Shuffled()

    loader = Loader()
    list(headway.track(loader, epochs=2, quiet=True))
    assert (loader.told, loader.sampler.told) == ([0, 1], [])


def test_tokens_may_come_as_what_has_a_float(here: Path) -> None:
    class Tensor:
        def __float__(self) -> float:
            return 7.0

    loop = headway.track([1, 2], tokens=lambda _: Tensor(), quiet=True)  # type: ignore[arg-type,return-value]
    list(loop)
    assert sum(item.get("tokens", 0.0) for item in events(loop.run)) == 14.0


def test_what_comes_after_the_end_is_timed_without_the_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop of 2 s, two hours of something else, a save of 5 s."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    loop = headway.track([1, 2], quiet=True)
    for _ in loop:
        now[0] += 1.0
    now[0] += 7200.0
    with loop.saving(final=True):
        now[0] += 5.0
    assert loop.meter.journal.times()["final_save"].seconds == 5.0
    assert max(record.body["wall_s"] for record in runs()) == 7.0


def test_a_later_attempt_in_the_same_folder_says_how_far_it_goes() -> None:
    list(headway.track([1] * 5, run_dir="run", quiet=True))
    list(headway.track([1] * 10, run_dir="run", start_step=5, quiet=True))
    log = read_log("run")
    assert (log.total_steps, max(item.step or 0 for item in log.observations)) == (15, 15)


def test_a_first_step_that_compiles_does_not_stand_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    loop = headway.track([1] * 100, quiet=True)
    for number, _ in enumerate(loop):
        if number == 5:
            assert loop.left().p50_s == pytest.approx(97 * 0.01)
            break
        now[0] += 30.0 if number == 0 else 0.01


@pytest.mark.parametrize(
    "given",
    [{"price": -1.0}, {"price": "3"}, {"price": float("nan")}, {"epochs": 2.5}, {"save_every": "100"},
     {"evaluate_every": -1}, {"start_step": -5}],
)  # fmt: skip
def test_what_would_fail_hours_later_is_refused_at_once(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        headway.track([1], **given)


def test_a_run_that_goes_on_records_the_steps_that_it_did_itself(here: Path) -> None:
    """A second process that did 50 of 200 steps is no finished run of 200 in a quarter of the time."""
    tracked = headway.track(range(50), start_step=150, quiet=True)
    list(tracked)
    (record,) = runs()
    assert (record.body["steps"], record.body["total_steps"]) == (50, 200)
    assert read_run(here / ".headway/runs" / tracked.run)["steps"] == 50


def test_a_pass_that_was_interrupted_has_all_of_itself_to_do_again() -> None:
    loop = headway.track([1] * 100, quiet=True)
    for number, _ in enumerate(loop):
        if number == 30:  # a cell of a notebook that was stopped: 30 steps are done
            break
    again = iter(loop)
    next(again)
    assert (loop.meter.step, loop.left().total_steps, loop.epoch) == (30, 130, 1)


def test_an_evaluation_that_an_exception_ended_is_none() -> None:
    loop = headway.track([1] * 3, quiet=True)
    for _ in loop:
        with pytest.raises(KeyError), loop.evaluation():
            raise KeyError
    assert loop.meter.journal is not None
    assert "evaluation" not in loop.meter.journal.times()


def test_the_record_lies_beside_the_plan_wherever_a_training_goes(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "elsewhere").mkdir()
    loop = headway.track([1, 2], quiet=True)
    monkeypatch.chdir("elsewhere")
    list(loop)
    assert not list((here / "elsewhere").iterdir())
    monkeypatch.chdir(here)
    assert len(runs()) == 1


@pytest.mark.parametrize(
    ("said", "leads"),
    [
        ({"SLURM_PROCID": "3"}, False),
        ({"OMPI_COMM_WORLD_RANK": "1"}, False),
        ({"RANK": "0", "SLURM_PROCID": "1"}, True),
        ({"RANK": ""}, True),
    ],
)
def test_one_of_all_processes_speaks_for_a_run(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, str], leads: bool
) -> None:
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    assert bool(headway.track([1], quiet=True).run) is leads


def test_a_process_that_goes_on_is_late_by_what_is_its_own_part_of_the_promise(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Promised are 10 steps in 80 s, 84 s at p90; steps of 10 s are late, those from the 8th too."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    loop = headway.track([1] * 4, plan=promise(here), experiment="qa", start_step=6)
    for _ in loop:
        now[0] += 10.0
    assert "[00:40<00:00 (p90 00:00), $0.40 of $0.40] 6.4 s beyond the estimate's p90" in capsys.readouterr().err


PLAN = """\
headway: 1
name: mine
model: Qwen/Qwen2-0.5B
micro_batch: 8
max_length: 128
steps: 1000
data: {rows: 80k, length: 100}
run: {machine: {gpu: RTX 4090}}
"""


def test_the_estimate_of_others_whose_plan_has_the_same_file_name_is_not_ones_own(here: Path) -> None:
    """A store that a team shares: nobody's run is held against another's plan, nor stopped by it."""
    promise(here)
    (here / "plan.yaml").write_text(PLAN, encoding="utf-8")
    loop = headway.track([1, 2], plan="plan.yaml", experiment="mine", quiet=True)
    assert list(loop) == [1, 2]
    assert loop.left().total_steps == 2 and "no estimate of plan.yaml" in loop.meter.promise.missing
    assert events(loop.run)[0]["plan"] == headway.load("plan.yaml").plan.fingerprint


def test_a_store_that_cannot_be_read_is_said(here: Path) -> None:
    (here / "plan.yaml").write_text(PLAN, encoding="utf-8")
    (here / ".headway").mkdir()
    (here / ".headway/headway.db").write_text("no data base, but long enough to be taken for one" * 40)
    loop = headway.track([1, 2], plan="plan.yaml", quiet=True)
    assert list(loop) == [1, 2]
    assert "cannot be read" in loop.meter.promise.missing
