"""Each format against figures read off its sample by hand, or by a second tool."""

from __future__ import annotations

import csv
import gzip
import json
import math
import pkgutil
from pathlib import Path

import pytest

from headway.domain.errors import UserError
from headway.domain.observation import Observation, times_of
from headway.logs import READERS, formats
from headway.logs.hf_rows import steps_done
from headway.logs.read import read_log

SAMPLES = Path(__file__).parent / "samples"


def test_every_file_of_the_folder_is_a_format_that_is_asked() -> None:
    files = {module.name for module in pkgutil.iter_modules(formats.__path__)}
    assert files == {reader.__name__.rpartition(".")[2] for reader in READERS.values()}
    assert all(name == reader.NAME for name, reader in READERS.items())


@pytest.mark.parametrize(
    ("name", "form", "steps", "total"),
    [
        ("trainer_state_lora_alpaca.json", "trainer_state", 1218, 1218),
        ("trainer_state_unfinished.json", "trainer_state", 2000, 35050),
        ("trainer_log.jsonl", "trainer_log", 2178, 2178),
        ("console_trainer.log", "console", 60, 60),
        ("console_resumed.log", "console", 90, 90),
        ("axolotl.log", "axolotl", 60, 60),
        ("log_1716012345.txt", "torchtune", 60, None),
        ("trainer_run/all_results.json", "all_results", 60, None),
        ("trainer_run", "trainer_state", 60, 60),
        ("nohup.out", "console", 0, None),
    ],
)
def test_each_sample_is_known_and_tells_its_steps(name: str, form: str, steps: int, total: int | None) -> None:
    log = read_log(SAMPLES / name)
    assert (log.format, log.total_steps) == (form, total)
    assert max((item.step or 0 for item in log.observations), default=0) == steps


def test_every_number_of_a_state_is_kept() -> None:
    state = json.loads((SAMPLES / "trainer_state_lora_alpaca.json").read_text())
    log = read_log(SAMPLES / "trainer_state_lora_alpaca.json")
    rows = [row for row in state["log_history"] if "loss" in row]
    steps = [item for item in log.observations if item.kind == "step" and item.values]
    assert [(item.step, item.values["loss"], item.epoch) for item in steps] == [
        (row["step"], row["loss"], row["epoch"]) for row in rows
    ]
    assert [item.values["learning_rate"] for item in steps] == [row["learning_rate"] for row in rows]
    assert log.facts["total_flop"] == state["total_flos"]


@pytest.mark.parametrize("indent", [None, 2])
def test_the_log_history_alone_says_as_much(tmp_path: Path, indent: int | None) -> None:
    whole = read_log(SAMPLES / "trainer_state_lora_alpaca.json")
    history = json.loads((SAMPLES / "trainer_state_lora_alpaca.json").read_text())["log_history"]
    text = json.dumps(history, indent=indent)
    (tmp_path / "history.json").write_text(text)
    log = read_log(tmp_path / "history.json")
    assert (log.format, log.observations) == ("trainer_state", whole.observations)
    (tmp_path / "history.json").write_text(text[: len(text) // 2])
    cut = read_log(tmp_path / "history.json")
    assert len(cut.observations) > 50
    assert "not whole JSON" in cut.problems[0]


def test_the_steps_of_a_state_have_the_runtime_and_all_are_counted() -> None:
    times = times_of(read_log(SAMPLES / "trainer_state_lora_alpaca.json").observations)
    # 1,218 steps, the last eight after the last logged row; no evaluation.
    assert times["step"].units == 1218
    assert times["step"].seconds == pytest.approx(4156.3616)


def test_a_state_without_a_runtime_says_that_it_has_no_step_times() -> None:
    log = read_log(SAMPLES / "trainer_state_unfinished.json")
    times = times_of(log.observations)
    assert "step" not in times
    # 1338.5651 + 1348.8908 + 1357.1367 + 1369.5678
    assert times["evaluation"].seconds == pytest.approx(5414.1604)
    assert times["evaluation"].units == 4
    # 13.973 rows/s for 1338.5651 s
    assert next(item.rows for item in log.observations if item.kind == "evaluation") == 18704
    assert "no times of steps" in log.problems[0]


def test_llama_factorys_clock_is_the_trainers_runtime() -> None:
    log = read_log(SAMPLES / "trainer_log.jsonl")
    times = times_of(log.observations)
    # The trainer_state.json of the same run says train_runtime 857595.0988; the last row is 9 days, 22:13:15.
    assert times["step"].seconds == 9 * 86_400 + 22 * 3_600 + 13 * 60 + 15 == 857_595
    assert times["step"].units == 2178
    assert log.observations[0].kind == "begin"
    first = log.observations[1]
    assert (first.step, first.seconds, first.values["loss"]) == (5, 32 * 60 + 48, 2.3475)


def test_console_and_state_of_one_run_tell_the_same_times() -> None:
    console = times_of(read_log(SAMPLES / "console_trainer.log").observations)
    state = times_of(read_log(SAMPLES / "trainer_run").observations)
    assert state["step"].units == console["step"].units == 60
    # train_runtime is 25.9064; two saves of a toy take the rest.
    assert state["step"].seconds + state["evaluation"].seconds == pytest.approx(25.9064, rel=0.01)
    # A bar shows whole seconds.
    assert console["step"].seconds == pytest.approx(state["step"].seconds, abs=1.0)
    # The console has the evaluation after the training too, by its bar.
    assert (state["evaluation"].units, console["evaluation"].units) == (3, 4)


def test_rows_of_a_console_are_of_the_steps_that_the_state_says() -> None:
    def rows(name: str) -> list[tuple[int | None, float]]:
        seen = read_log(SAMPLES / name).observations
        return [(item.step, item.values["loss"]) for item in seen if item.kind == "step" and "loss" in item.values]

    state = [(step, float(f"{loss:.4g}")) for step, loss in rows("trainer_run")]
    assert rows("console_trainer.log") == state
    assert [step for step, _ in state] == [10, 20, 30, 40, 50, 60]


def test_a_resumed_run_counts_its_own_steps() -> None:
    console = read_log(SAMPLES / "console_resumed.log")
    times = times_of(console.observations)
    # train_runtime 14.0902 with evaluations of 4.98 s in it; 90 - 60 steps.
    assert times["step"].units == 30
    assert any("resumed" in problem for problem in console.problems)
    state = read_log(SAMPLES / "resumed" / "trainer_state.json")
    own = times_of(item for item in state.observations if item.attempt == 1)
    assert own["step"].units == 30
    assert own["step"].seconds == pytest.approx(times["step"].seconds, abs=1.0)
    assert times_of(state.observations)["step"].units == 90


def test_a_state_resumed_without_a_clock_is_told_by_its_rate_or_its_loss(tmp_path: Path) -> None:
    def state(**last: float) -> list[Observation]:
        rows: list[dict[str, float]] = [{"step": step, "loss": 2.0, "epoch": step / 100} for step in range(10, 110, 10)]
        rows += [{"step": 100, "epoch": 1.0, "train_runtime": 80.0, **last}]
        (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": rows, "max_steps": 100}))
        return [item for item in read_log(tmp_path).observations if item.kind == "step" and item.seconds is not None]

    # 40 steps at 0.5 a second; older Trainers say 100 / 80 s, and sum the loss over 40 steps but divide by 100.
    new, old = state(train_steps_per_second=0.5, train_loss=2.0), state(train_steps_per_second=1.25, train_loss=0.8)
    for own in (new, old):
        assert [item.step for item in own] == [70, 80, 90, 100]
        assert sum(item.seconds or 0.0 for item in own) == pytest.approx(80.0)
    assert len(state(train_steps_per_second=1.25, train_loss=2.0)) == 10


def test_results_alone_give_a_mean_step() -> None:
    log = read_log(SAMPLES / "trainer_run" / "all_results.json")
    # 25.9064 s at 2.316 steps/s
    assert times_of(log.observations)["step"].units == 60
    assert log.facts["total_flop"] == 9227796480.0


def test_results_of_slow_steps_do_not_pretend_to_know_how_many(tmp_path: Path) -> None:
    place = tmp_path / "all_results.json"
    # 0.003 steps/s for 857,595 s is 2,144 to 3,001 steps.
    place.write_text(json.dumps({"train_runtime": 857595.1, "train_steps_per_second": 0.003, "train_loss": 2.0}))
    log = read_log(place)
    assert "step" not in times_of(log.observations)
    assert "too few digits" in log.problems[0]


def test_a_folder_is_read_at_its_newest_checkpoint(tmp_path: Path) -> None:
    for step in (60, 500, 1000):
        (tmp_path / f"checkpoint-{step}").mkdir()
        state = {"log_history": [{"step": step, "loss": 1.0}], "global_step": step, "max_steps": 2000}
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(json.dumps(state))
    (tmp_path / "config.json").write_text('{"hidden_size": 64}')
    assert read_log(tmp_path).facts["steps_done"] == 1000


def test_torchtune_has_losses_and_says_that_it_has_no_times() -> None:
    log = read_log(SAMPLES / "log_1716012345.txt")
    assert [item.step for item in log.observations] == [10, 20, 30, 40, 50, 60, 60]
    assert log.observations[0].values["loss"] == 3.918862152099609
    assert log.observations[-1].kind == "evaluation"
    assert log.facts["started"] == 1716012345  # as `app.runs.moment` takes it
    assert "no times" in log.problems[0]


def test_published_runtimes_rates_and_steps_go_together() -> None:
    with (SAMPLES / "runtimes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 8
    for row in rows:
        said = steps_done(dict(row))
        assert said is not None
        steps = float(row["steps"] or row["max_steps"])
        assert abs(said[0] - steps) <= said[1], row["id"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_log_in_any_encoding_and_packed_says_the_same(tmp_path: Path, encoding: str, ends: str) -> None:
    text = (SAMPLES / "trainer_log.jsonl").read_text()
    whole = times_of(read_log(SAMPLES / "trainer_log.jsonl").observations)
    place = tmp_path / "trainer_log.jsonl"
    place.write_bytes(text.replace("\n", ends).encode(encoding))
    assert times_of(read_log(place).observations) == whole
    packed = tmp_path / "trainer_log.jsonl.gz"
    packed.write_bytes(gzip.compress(place.read_bytes()))
    assert times_of(read_log(packed).observations) == whole


def test_latin_1_is_read_and_said(tmp_path: Path) -> None:
    place = tmp_path / "run.log"
    place.write_bytes("modèle\n".encode("latin-1") + b"{'loss': 1.5, 'epoch': 0.1, 'step': 10}\n")
    log = read_log(place)
    assert log.observations[0].values["loss"] == 1.5
    assert "Latin-1" in log.problems[0]


def test_a_cut_last_line_is_said_and_the_rest_kept(tmp_path: Path) -> None:
    place = tmp_path / "trainer_log.jsonl"
    place.write_bytes((SAMPLES / "trainer_log.jsonl").read_bytes()[:5_000])
    log = read_log(place)
    assert len(log.observations) > 20
    assert any("not whole JSON" in problem for problem in log.problems)
    state = tmp_path / "trainer_state.json"
    state.write_bytes((SAMPLES / "trainer_state_lora_alpaca.json").read_bytes()[:5_000])
    assert max(item.step or 0 for item in read_log(state).observations) > 300


def test_nan_and_infinity_stay_values(tmp_path: Path) -> None:
    place = tmp_path / "trainer_state.json"
    place.write_text('{"log_history": [{"step": 1, "loss": NaN}, {"step": 2, "loss": Infinity}], "max_steps": 2}')
    first, second = (item.values["loss"] for item in read_log(place).observations)
    assert math.isnan(first)
    assert second == math.inf


def test_our_own_events_come_back_as_they_were_written(tmp_path: Path) -> None:
    said = [
        Observation(kind="begin", at_s=0.0),
        Observation(kind="step", at_s=2.0, seconds=2.0, step=1, steps=1, wait_s=0.5, values={"loss": math.inf}),
        Observation(kind="evaluation", at_s=5.0, seconds=3.0, step=1),
        Observation(kind="end", at_s=5.0, step=1),
    ]
    header = {"schema": "headway.events/1", "total_steps": 9, "micro_batch": 2, "plan": "abc", "experiment": ""}
    place = tmp_path / "events.jsonl"
    place.write_text("\n".join([json.dumps(header), *(item.to_line() for item in said)]) + '\n{"kind": "st')
    log = read_log(tmp_path)
    assert log.observations == tuple(said)
    assert (log.total_steps, log.facts["micro_batch"], log.facts["plan"]) == (9, 2, "abc")
    assert log.problems == ("line 6: not whole JSON, left out",)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("absent.log", None, "no such file"),
        ("empty.log", b"", "empty"),
        ("notes.md", b"# Shopping\n\nBread, butter.\n", "without a step.*Formats: headway, trainer_state"),
        ("noise.bin", bytes(range(256)) * 8, "Formats: headway, trainer_state"),
        ("model.json", b'{"hidden_size": 64}', "without a step"),
    ],
)
def test_what_is_no_log_is_refused_with_what_to_do(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=says) as raised:
        read_log(tmp_path / name)
    assert str(tmp_path) not in str(raised.value)


def test_a_log_that_tells_of_no_training_says_so() -> None:
    log = read_log(SAMPLES / "nohup.out")
    assert not log.observations
    assert "names a step" in log.problems[0]


def test_a_folder_without_a_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="holds a log"):
        read_log(tmp_path)


def rows_of(steps: list[int], each_s: float = 1.0, **more: object) -> list[str]:
    clock = [
        f"{int(step * each_s) // 60 // 60}:{int(step * each_s) // 60 % 60:02d}:{int(step * each_s) % 60:02d}"
        for step in steps
    ]
    return [
        json.dumps({"current_steps": step, "total_steps": 1000, "loss": 1.5, "epoch": 0.1, "elapsed_time": at, **more})
        for step, at in zip(steps, clock, strict=True)
    ]


def test_processes_that_write_into_one_trainer_log_are_ranks(tmp_path: Path) -> None:
    steps = list(range(10, 510, 10))
    one, two = rows_of(steps), rows_of(steps, 1.01)
    # The second process is sometimes two rows behind.
    lines = one[:2] + [row for pair in zip(one[2:], two, strict=False) for row in pair] + two[-2:]
    path = tmp_path / "trainer_log.jsonl"
    path.write_text("\n".join(lines) + "\n")
    log = read_log(path)
    assert {item.rank for item in log.observations} == {0, 1}
    assert {item.attempt for item in log.observations} == {0}
    assert times_of(log.of_rank_0)["step"].units == 500
    assert times_of(log.of_rank_0)["step"].seconds == pytest.approx(500)
    assert log.problems == ("several processes wrote rows of the same steps: the first one's are counted",)


def test_nulls_of_an_older_llama_factory_are_no_evaluations(tmp_path: Path) -> None:
    path = tmp_path / "trainer_log.jsonl"
    path.write_text("\n".join(rows_of([5, 10, 15], 2.0, eval_loss=None, predict_loss=None, reward=None)) + "\n")
    assert {item.kind for item in read_log(path).observations} == {"begin", "step"}


def test_the_runs_of_a_folder_are_named_by_their_places(tmp_path: Path) -> None:
    for number in range(7):
        (tmp_path / f"run-{number}").mkdir()
        text = (SAMPLES / "trainer_log.jsonl").read_text()
        (tmp_path / f"run-{number}" / "trainer_log.jsonl").write_text(text)
    said = read_log(tmp_path).problems[-1]
    assert said == ("read from run-0/trainer_log.jsonl; not of its run: run-1, run-2, run-3, run-4 and 2 more")


def test_a_document_that_shows_a_bar_is_read_when_it_is_named_alone(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    bars = [f"{n}%|█| {n}/100 [00:{n}<01:00, 1.0it/s]" for n in (10, 11)]
    page.write_text("\n".join(["# What it prints", *bars]), encoding="utf-8")
    assert read_log(page).total_steps == 100
    with pytest.raises(UserError, match="holds a log"):
        read_log(tmp_path)


def test_an_old_trainers_rate_of_samples_is_that_of_steps(tmp_path: Path) -> None:
    """Up to transformers 4.6 the only rate is steps over seconds: 125 in 100 s."""
    place = tmp_path / "train_results.json"
    place.write_text(json.dumps({"train_runtime": 100.0, "train_samples_per_second": 1.25, "epoch": 1.0}))
    log = read_log(place)
    assert times_of(log.observations)["step"].units == 125
    assert log.facts["train_steps_per_s"] == 1.25
    assert "train_samples_per_s" not in log.facts


def test_a_resume_with_nothing_left_to_do_times_no_steps(tmp_path: Path) -> None:
    last = {"train_runtime": 0.02, "train_samples_per_second": 4e5, "train_steps_per_second": 5e4, "train_loss": 0.0}
    rows: list[dict[str, float]] = [{"step": step, "loss": 2.0, "epoch": step / 100} for step in (50, 100)]
    place = tmp_path / "trainer_state.json"
    place.write_text(json.dumps({"log_history": [*rows, {"step": 100, **last}], "max_steps": 100}))
    totals = tmp_path / "all_results.json"
    totals.write_text(json.dumps({"epoch": 1.0, **last}))
    for log in (read_log(place), read_log(totals)):
        assert "step" not in times_of(log.observations)
        assert "train_runtime_s" not in log.facts
        assert any("nothing left to do" in problem for problem in log.problems)


def test_a_loss_of_zero_throughout_is_a_training(tmp_path: Path) -> None:
    rows: list[dict[str, float]] = [{"step": step, "loss": 0.0, "epoch": step / 100} for step in (50, 100)]
    last = {"step": 100, "train_runtime": 50.0, "train_steps_per_second": 2.0, "train_loss": 0.0}
    place = tmp_path / "trainer_state.json"
    place.write_text(json.dumps({"log_history": [*rows, last], "max_steps": 100}))
    assert times_of(read_log(place).observations)["step"].seconds == pytest.approx(50.0)


@pytest.mark.parametrize(("epoch", "steps"), [(3.0, 188), (2.5, 188), (1.0, None)])
def test_totals_of_a_training_that_stopped_early_time_no_steps(tmp_path: Path, epoch: float, steps: int | None) -> None:
    """10 rows/s for 300 s are three times the 1,000 rows: the rate is of all that was meant."""
    place = tmp_path / "all_results.json"
    rates = {"train_samples_per_second": 10.0, "train_steps_per_second": 0.625}
    place.write_text(json.dumps({"epoch": epoch, "train_runtime": 300.0, "train_samples": 1000, **rates}))
    log = read_log(place)
    times = times_of(log.observations)
    assert (times["step"].units if "step" in times else None) == steps
    said = "no step times: the rate is of the 3 epochs that were meant, the training stopped after 1"
    assert (said in log.problems) == (steps is None)


def test_a_speed_since_the_start_tells_the_moments(tmp_path: Path) -> None:
    """ms-swift: 10 / 0.5, 20 / 0.5 and 30 / 0.4 s; after a resume all steps are held against the new start's time."""
    speeds = {10: 0.5, 20: 0.5, 30: 0.4, 40: 4.0, 50: 2.5}
    rows = [{"step": step, "loss": 1.0, "train_speed(iter/s)": speed} for step, speed in speeds.items()]
    place = tmp_path / "trainer_state.json"
    place.write_text(json.dumps({"log_history": rows, "max_steps": 100}))
    log = read_log(place)
    steps = [(item.step, item.seconds) for item in log.observations if item.kind == "step"]
    assert [step for step, _ in steps] == [10, 20, 30, 40, 50]
    assert [seconds for _, seconds in steps] == [20.0, 20.0, 35.0, None, None]
    assert any("resumed" in problem and "step 40" in problem for problem in log.problems)
