"""Histories of published trainings: resumed, repeated in their last line, of several sets; figures counted by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from headway.domain.errors import UserError
from headway.domain.observation import Observation, RunLog, times_of
from headway.logs import rows
from headway.logs.hf_rows import Rows, with_mean_steps
from headway.logs.read import read_log
from headway.logs.repair import settled
from headway.logs.rows import Row

Said = Mapping[str, object]
Written = Callable[..., RunLog]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Reads a file of that name with these lines, each a row of JSON or a text."""

    def read(name: str, *lines: object) -> RunLog:
        place = tmp_path / name
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        place.write_text("\n".join(texts) + "\n", encoding="utf-8")
        return read_log(place)

    return read


def units(log: RunLog) -> dict[str, tuple[float, float]]:
    return {term: (round(timed.seconds, 3), timed.units) for term, timed in times_of(log.of_rank_0).items()}


def of_kind(log: RunLog, kind: str) -> list[Observation]:
    return [item for item in log.observations if item.kind == kind]


def state(*history: Said, **said: object) -> dict[str, object]:
    return {"log_history": list(history), **said}


def evaluated(step: int | None, seconds: float, name: str = "eval", rate: float = 10.0) -> dict[str, object]:
    row: dict[str, object] = {f"{name}_loss": 0.5, f"{name}_runtime": seconds, f"{name}_samples_per_second": rate}
    return {**row, "epoch": 1.0} if step is None else {**row, "epoch": 1.0, "step": step}


# ---- ms-swift


def swift(padding: int) -> list[Said]:
    """125 steps of 2 s, evaluated for 30 s after the 60th and at the end; the last line tells all of it again."""
    pad = "x" * padding

    def row(step: int, at_s: int, **said: object) -> dict[str, object]:
        clock = f"{at_s // 60}m {at_s % 60}s"
        return {**said, "global_step/max_steps": f"{step}/125", "elapsed_time": clock, "note": pad}

    def evaluation(step: int, at_s: int) -> dict[str, object]:
        return row(step, at_s, eval_loss=0.2, eval_runtime=30.0, eval_samples_per_second=4.0)

    lines = [row(step, 2 * step, loss=1.0) for step in range(10, 61, 10)] + [evaluation(60, 150)]
    lines += [row(step, 2 * step + 30, loss=1.0) for step in range(70, 121, 10)] + [evaluation(125, 310)]
    lines += [row(125, 310, train_runtime=310.4, train_steps_per_second=0.403, total_flos=9.5e16, train_loss=1.0)]
    history = [
        {key: value for key, value in line.items() if key not in ("global_step/max_steps", "elapsed_time")}
        | {"step": int(str(line["global_step/max_steps"]).partition("/")[0])}
        for line in lines
    ]
    return [*lines, {"last_model_checkpoint": "checkpoint-125", "global_step": 125, "log_history": history}]


@pytest.mark.parametrize("padding", [0, 6_000, 100_000])
def test_a_last_line_that_repeats_the_history_tells_nothing(written: Written, padding: int) -> None:
    """The whole within the head that a format is known by, beyond it, and longer than a line that is held."""
    log = written("logging.jsonl", *swift(padding))
    assert (log.format, log.total_steps) == ("trainer_log", 125)
    assert units(log) == {"step": (250.0, 125), "evaluation": (60.0, 2)}
    assert {item.attempt for item in log.observations} == {0}
    assert not [problem for problem in log.problems if "read in pieces" not in problem]
    assert log.facts["total_flop"] == 9.5e16
    assert [(item.step, item.at_s) for item in of_kind(log, "end")] == [(125, 310.0)]


def test_steps_after_the_last_row_of_ms_swift(written: Written) -> None:
    """Without an evaluation the last row alone says that 125 were done, five of them in 10 s."""
    lines = [line for line in swift(0) if "eval_loss" not in line and "log_history" not in line]
    last = {**lines[-1], "elapsed_time": "4m 40s"}
    steps = of_kind(written("logging.jsonl", *lines[:-1], last), "step")
    assert [(item.step, item.steps, item.seconds) for item in steps[-1:]] == [(125, 5, 10.0)]


def test_rows_without_a_clock_before_their_history(written: Written) -> None:
    """The history alone has the runtime: 100 steps in 200 s."""
    lines: list[Said] = [{"loss": 1.0, "epoch": step / 100, "step": step} for step in (50, 100)]
    lines += [{"train_runtime": 200.0, "train_steps_per_second": 0.5, "train_loss": 1.0, "epoch": 1.0, "step": 100}]
    log = written("log.jsonl", *lines, {"best_metric": 1.0, "log_history": lines})
    assert log.format == "trainer_state"
    assert units(log) == {"step": (200.0, 100)}
    assert log.problems == ()


# ---- resumed


def resumed(losses: Sequence[float], own: int, digits: int | None, *, every: int = 10) -> tuple[Observation, ...]:
    """A history of rows of `every` steps, the last `own` of them by the last start, a second each.

    It was evaluated for 7 s at the step that it went on from, and for 5 s at its end.
    """
    last = every * len(losses)
    logged = [loss if digits is None else round(loss, digits) for loss in losses]
    history: list[dict[str, object]] = [
        {"loss": loss, "step": every * (at + 1), "epoch": 1.0} for at, loss in enumerate(logged)
    ]
    history.insert(len(losses) - own, evaluated(last - every * own, 7.0))
    mean = sum(losses[-own:]) / len(losses)
    end = {"train_runtime": every * own + 5.0, "train_loss": mean, "step": last, "epoch": 1.0,
           "train_steps_per_second": round(last / (every * own + 5.0), 3)}  # fmt: skip
    reading = Rows()
    said = [item for row in [*history, evaluated(last, 5.0), end] for item in reading.observe(row)]
    return with_mean_steps(settled(said, []), [end], [])


@given(
    st.lists(st.floats(min_value=0.05, max_value=5.0), min_size=2, max_size=40),
    st.integers(min_value=1, max_value=39),
    st.sampled_from([None, 4, 3]),
)
def test_the_first_step_of_the_last_start_is_found_exactly(losses: list[float], own: int, digits: int | None) -> None:
    assume(own < len(losses) and sum(losses[-own:]) < 0.85 * sum(losses))
    told = [item for item in resumed(losses, own, digits) if item.kind == "step" and item.seconds is not None]
    assert [item.step for item in told] == [10 * at for at in range(len(losses) - own + 1, len(losses) + 1)]
    assert all(math.isclose(item.seconds or 0.0, 10.0) for item in told)


@pytest.mark.parametrize("off", [0.00004, -0.00004])
def test_rounding_up_or_down_moves_no_resume(off: float) -> None:
    """anthonyrathe/fixed-whisperv2-flemish: 40 rows of a small loss, and 0.038 left of what they should sum up to."""
    losses = [0.02 + 0.01 * (at % 3) + off for at in range(60)]
    told = [item for item in resumed(losses, 40, 4) if item.kind == "step" and item.seconds is not None]
    assert (told[0].step, len(told)) == (210, 40)
    assert sum(item.seconds or 0.0 for item in told) == pytest.approx(400.0)


def test_a_resume_between_two_rows_leaves_its_own_evaluations(written: Written) -> None:
    """Saved and evaluated after each epoch of 25 steps, resumed at 50: of the rows of 20, those from 60 on are its.

    10 of the 20 steps of row 60 are its own: their mean loss of 1.0 is what was logged.
    """
    history: list[Said] = [{"loss": 1.0, "step": step, "epoch": step / 25} for step in (20, 40)]
    history.insert(1, evaluated(25, 9.0))
    history += [evaluated(50, 9.0), {"loss": 1.0, "step": 60, "epoch": 2.4}, evaluated(75, 9.0)]
    history += [{"loss": 1.0, "step": step, "epoch": step / 25} for step in (80, 100)] + [evaluated(100, 9.0)]
    end = {"train_runtime": 78.0, "train_loss": 0.5, "step": 100, "epoch": 4.0, "train_steps_per_second": 1.282}
    log = written("trainer_state.json", state(*history, end, max_steps=100))
    # 78 s less the evaluations at 75 and at 100.
    assert units(log)["step"][0] == 60.0
    assert [item.step for item in of_kind(log, "step") if item.seconds is not None] == [60, 80, 100]


def test_steps_of_a_stream_are_no_epochs(written: Written) -> None:
    log = written("trainer_state.json", state({"loss": 1.0, "step": 10}, num_train_epochs=9223372036854775807))
    assert "epochs" not in log.facts
    log = written("trainer_state.json", state({"loss": 1.0, "step": 10}, num_train_epochs=3))
    assert log.facts["epochs"] == 3.0


# ---- evaluations of several sets


def test_sets_at_one_step_are_one_evaluation(written: Written) -> None:
    """aigoncharov/trainer_state_viz: rows of 3 and 4 s, 10 rows/s each, after 10 and after 20 steps of a second."""
    history: list[Said] = []
    for step in (10, 20):
        history += [{"loss": 1.0, "step": step, "epoch": 1.0}]
        history += [evaluated(step, 3.0, "eval_g0"), evaluated(step, 4.0, "eval_g1")]
    end = {"train_runtime": 34.0, "train_steps_per_second": 0.588, "train_loss": 1.0, "step": 20, "epoch": 2.0}
    log = written("trainer_state.json", state(*history, end, max_steps=20))
    assert units(log) == {"step": (20.0, 20), "evaluation": (14.0, 2)}
    first = of_kind(log, "evaluation")[0]
    assert (first.step, first.rows) == (10, 70.0)
    assert (first.values["eval_g0_runtime"], first.values["eval_g1_runtime"]) == (3.0, 4.0)


def test_an_evaluation_and_a_prediction_are_two_and_so_are_two_of_one_set(written: Written) -> None:
    """Jaong/Checkpoint-of-CPT predicts after each evaluation; another script evaluates again what it has."""
    history = [{"loss": 1.0, "step": 10, "epoch": 1.0}, evaluated(10, 3.0), evaluated(None, 4.0, "predict")]
    log = written("trainer_state.json", state(*history, evaluated(10, 3.0), evaluated(10, 3.0)))
    assert [(item.step, item.seconds) for item in of_kind(log, "evaluation")] == [
        (10, 3.0), (None, 4.0), (10, 3.0), (10, 3.0)
    ]  # fmt: skip


def test_trackers_tell_a_round_too() -> None:
    def of_set(name: str, at_s: float, seconds: float) -> Row:
        values = {f"eval/{name}_runtime": seconds, f"eval/{name}_samples_per_second": 10.0, f"eval/{name}_loss": 0.5}
        return Row(at_s=at_s, step=20, values=values)

    trained = [Row(at_s=10.0 * at, step=10 * at, values={"train/loss": 1.0}) for at in (0, 1, 2)]
    found, _ = rows.told([*trained, of_set("g0", 23.0, 3.0), of_set("g1", 27.0, 4.0)], [])
    (round_,) = (item for item in found if item.kind == "evaluation")
    assert (round_.step, round_.seconds, round_.at_s) == (20, 7.0, 27.0)
    assert (round_.values["g0_loss"], round_.values["g1_loss"]) == (0.5, 0.5)


# ---- other forms


def test_a_last_row_alone_is_of_a_whole_training(written: Written) -> None:
    """aa-n/Qwen3_Lora: logged less often than once."""
    log = written("trainer_log.jsonl", {"current_steps": 768, "total_steps": 768, "epoch": 2.9966,
                  "percentage": 100.0, "elapsed_time": "1:39:39", "total_tokens": 24689312})  # fmt: skip
    assert units(log) == {"step": (5979.0, 768)}
    assert log.total_steps == 768
    (step,) = of_kind(log, "step")
    assert (step.step, step.tokens) == (768, 24689312.0)
    assert [item.kind for item in log.observations] == ["begin", "step", "end"]


def test_rows_of_a_prediction_are_no_training(written: Written) -> None:
    """gi7014/SunXiaochuan-V1: batches of a prediction, which name no epoch."""
    batches = [{"current_steps": n, "total_steps": 250, "elapsed_time": f"0:00:{n:02d}"} for n in (5, 10, 15)]
    with pytest.raises(UserError, match="rows of a training"):
        written("trainer_log.jsonl", *batches)


def test_seconds_of_an_epoch_are_those_of_its_steps(written: Written) -> None:
    """0Xero7/slm_training: 287 steps an epoch, the first of 155.5 s with its compilation, the next of 37.7 s."""
    log = written("metrics.csv", "epoch,epoch_time,step,train_loss_epoch,train_loss_step,val_loss",
                  "0,,99,,6.8,", "0,,199,,6.8,", "0,,286,,,6.8", "0,155.4527,286,7.6,,",
                  "1,,386,,6.8,", "1,,486,,6.8,", "1,,573,,,6.5", "1,37.7195,573,6.6,,")  # fmt: skip
    steps = of_kind(log, "step")
    assert [item.step for item in steps] == [100, 200, 287, 387, 487, 574]
    first_s, second_s = 155.4527 / 287, 37.7195 / 287
    each_s = [100 * first_s, 100 * first_s, 87 * first_s, 100 * second_s, 100 * second_s, 87 * second_s]
    assert [item.seconds for item in steps] == pytest.approx(each_s)
    assert len(of_kind(log, "evaluation")) == 2
    assert log.problems == ("step times are means of whole epochs, in which evaluations and saves may be",)


def test_detectron2_counts_from_0(written: Written) -> None:
    """12tqian/gdp-objdetect appends one run to another; BUAAZhangHaonan/mgm_mask2former evaluates at its end."""
    trained = [{"iteration": at, "lr": 1e-5, "total_loss": 190.6, "time": 0.5, "data_time": 0.1} for at in (19, 39, 59)]
    log = written("metrics.json", *trained, {"bbox/AP": 41.2, "iteration": 60, "segm/AP": 65.1}, *trained[:2])
    assert [(item.step, item.steps) for item in of_kind(log, "step")] == [
        (20, 20), (40, 20), (60, 20), (20, 20), (40, 20)
    ]  # fmt: skip
    (evaluation,) = of_kind(log, "evaluation")
    assert (evaluation.step, evaluation.values) == (60, {"bbox/AP": 41.2, "segm/AP": 65.1})
    assert units(log)["step"] == (50.0, 100)


def test_iterations_of_another_tool_are_those_that_were_done(written: Written) -> None:
    log = written("log.txt", *({"iteration": at, "lr": 1e-5, "total_loss": 1.0} for at in (20, 40)))
    assert [item.step for item in of_kind(log, "step")] == [20, 40]


def test_jobs_without_times_are_said_to_have_none(written: Written) -> None:
    """What sacct prints when nobody asks it for more (SamShin/Hyak)."""
    log = written("sacct.txt", "JobID           JobName  Partition    Account  AllocCPUS      State ExitCode ",
                  "------------ ---------- ---------- ---------- ---------- ---------- -------- ",
                  "16261988     h3as5_opt+    compute        stf         40    RUNNING      0:0 ",
                  "16290213      seq_cmaes    compute        stf         30    TIMEOUT      0:0 ")  # fmt: skip
    assert log.facts["job"] == "16261988"
    assert any("no times of any job" in problem and "ElapsedRaw" in problem for problem in log.problems)
    assert any("the first; also there: 16290213" in problem for problem in log.problems)
    assert not any("longest" in problem for problem in log.problems)


def test_an_epoch_under_the_name_of_a_tracker(written: Written) -> None:
    """EZIOPQR/driveVLM: each of four processes writes the row."""
    row = {"step": 740, "train/loss": 0.23, "train/global_step": 740, "train/epoch": 1.25}
    steps = of_kind(written("train_log.json", row, row), "step")
    assert (steps[0].step, steps[0].epoch) == (740, 1.25)
    assert "train/epoch" not in steps[0].values
