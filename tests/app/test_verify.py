"""The verb `verify` end to end: which promise counts, what is recorded, what the next estimate says."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import headway
from headway.app import verify as verb
from headway.app.promise import promise_of
from headway.app.promised import History
from headway.app.runs import device_name, moment, read_run, run_document
from headway.app.stored import keep, made_now, records
from headway.app.verify import Asked, verify
from headway.domain.errors import UsageError, UserError
from headway.domain.observation import Observation, RunLog
from headway.track.kept import promise as kept_promise

AGNEWS = next((Path(__file__).parents[1] / "logs/samples/trackers/tfevents").glob("events.out.tfevents.1744230855*"))
"""A published run of AguLeon/LoRA_RoBERTa_AGNews (MIT), see the README beside it."""
SACCT = Path(__file__).parents[1] / "logs/samples/trackers/sacct/requeued.txt"
PLAN = """\
headway: 1
name: small
model: Qwen/Qwen2-0.5B
adapter: {method: lora, rank: 4}
micro_batch: 8
max_length: 128
stated: {step: 1.6-2.0 s}
data: {rows: 80k, length: 100}
matrix: {steps: [1k, 2k]}
run: {machine: {gpu: RTX 4090}}
"""


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A plan of two runs, 1,000 and 2,000 steps of 1.6-2.0 s as stated, in a folder of its own."""
    monkeypatch.delenv("HEADWAY_STORE", raising=False)
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN, encoding="utf-8")
    return str(path)


def promised(plan: str, made: str = "2026-11-20T08:00:00Z", rates: str = "stated") -> None:
    """What the plan says under these rates, recorded as a promise of that moment."""
    body = promise_of(headway.load(plan).estimate(rates=rates).answer)
    assert keep(replace(made_now("estimate", body, "headway estimate plan.yaml"), made=made), plan)


def tracked(plan: str, run: str, /, *, experiment: str = "small/1k", steps: int = 1000, step_s: float = 1.9,
            started: str = "2026-11-20T10:00:00Z", total_steps: int = 0, **header: Any) -> Path:  # fmt: skip
    """A run's folder beside the plan, as tracking leaves it: `steps` of `step_s` in lines of ten."""
    said = {
        "schema": "headway.events/1", "started": started, "run": run, "plan": headway.load(plan).plan.fingerprint,
        "experiment": experiment, "stage": "", "total_steps": total_steps or steps, "device": "NVIDIA GeForce RTX 4090",
    }  # fmt: skip
    events = [Observation(kind="begin", at_s=0.0)]
    for step in range(10, steps + 1, 10):
        events.append(Observation(kind="step", at_s=step * step_s, seconds=10 * step_s, step=step, steps=10))
    events.append(Observation(kind="end", at_s=steps * step_s))
    folder = Path(plan).parent / ".headway" / "runs" / run
    folder.mkdir(parents=True)
    lines = [json.dumps(said | header), *(event.to_line() for event in events)]
    (folder / "events.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def of_epochs(plan: str, epochs: int, rows: int) -> None:
    """Makes the plan one of epochs, of 8 rows a step, and has it promised."""
    text = PLAN.replace("rows: 80k", f"rows: {rows}").replace("matrix: {steps: [1k, 2k]}", f"epochs: {epochs}")
    Path(plan).write_text(text, encoding="utf-8")
    promised(plan)


# ---- a run is found, judged and recorded


def test_a_run_is_held_against_the_latest_promise_made_before_it(plan: str) -> None:
    promised(plan)
    tracked(plan, "a")
    found = headway.load(plan).verify()
    (verdict,) = found.verdicts
    # 1,900 s against 1,600-1,800-2,000 s
    assert (verdict.promised.p10, verdict.promised.p50, verdict.promised.p90) == pytest.approx((1600, 1800, 2000))
    assert verdict.measured_s == pytest.approx(1900)
    assert verdict.inside and verdict.counts and verdict.device == "RTX 4090"
    assert not found.missed
    assert sorted(record.kind for record in records(plan_file=plan)) == ["estimate", "run", "verdict"]


def test_a_second_look_records_nothing_new_and_counts_once(plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    promised(plan)
    tracked(plan, "a")
    headway.load(plan).verify()
    # later, so that a record which is made again is another one
    monkeypatch.setattr(verb, "made_now", lambda *given: replace(made_now(*given), made="2999-01-01T00:00:00Z"))
    found = headway.load(plan).verify(every=True)
    assert len(records(plan_file=plan)) == 3
    assert found.answer.ledger.whole is not None and found.answer.ledger.whole.runs == 1


def test_runs_with_a_verdict_are_not_looked_at_again_until_nothing_else_is_left(plan: str) -> None:
    promised(plan)
    tracked(plan, "a")
    headway.load(plan).verify()
    tracked(plan, "b", started="2026-11-20T12:00:00Z")
    assert [one.run for one in headway.load(plan).verify().verdicts] == ["b"]
    assert {one.run for one in headway.load(plan).verify().verdicts} == {"a", "b"}


def test_a_run_that_was_watched_and_recorded_itself_is_one(plan: str) -> None:
    """`watch -- COMMAND` of a loop that is tracked: both leave a folder, the loop's own knows more."""
    promised(plan)
    tracked(plan, "watching", step_s=2.5)
    tracked(plan, "own", watched_by="watching")
    found = headway.load(plan).verify()
    assert [one.run for one in found.verdicts] == ["own"]
    assert [one.run for one in headway.load(plan).verify(every=True).verdicts] == ["own"]
    assert found.answer.ledger.whole is not None and found.answer.ledger.whole.runs == 1
    keep(made_now("run", read_run(Path(plan).parent / ".headway/runs/watching"), "headway watch"), plan)
    assert [one.run for one in headway.load(plan).verify("watching").verdicts] == ["own"]


def test_a_watched_run_is_of_the_experiment_that_its_watcher_was_told(plan: str) -> None:
    promised(plan)
    tracked(plan, "watching", experiment="small/2k", steps=2000)
    tracked(plan, "own", experiment="", steps=2000, watched_by="watching")
    assert [(one.run, one.experiment) for one in headway.load(plan).verify().verdicts] == [("own", "small/2k")]


def test_a_loop_over_the_data_is_not_the_training_that_was_watched(plan: str) -> None:
    promised(plan)
    tracked(plan, "watching")
    tracked(plan, "data", steps=100, step_s=0.1, watched_by="watching")
    assert "watching" in [one.run for one in headway.load(plan).verify().verdicts]


def test_a_run_in_epochs_that_went_on_is_looked_at_again(plan: str) -> None:
    of_epochs(plan, 10, rows=800)
    folder = tracked(plan, "a", steps=0, experiment="")
    lines = (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()[:2]
    for done in (3, 5):
        epochs = [
            Observation(kind="epoch", at_s=380.0 * n, seconds=380.0, epoch=n, values={"epochs": 10})
            for n in range(1, done + 1)
        ]
        text = "\n".join([*lines, *(item.to_line() for item in epochs)])
        (folder / "events.jsonl").write_text(text + "\n", encoding="utf-8")
        (verdict,) = headway.load(plan).verify().verdicts
        assert (verdict.progress, verdict.measured_s) == (pytest.approx(done / 10), pytest.approx(380.0 * done))


def test_a_trial_of_one_epoch_is_not_the_promised_three(plan: str, tmp_path: Path) -> None:
    """30k rows at 8 a step are 3,750 steps an epoch: of 1.8 s each, a third of what was promised."""
    of_epochs(plan, 3, rows=30_000)
    log = tmp_path / "train.log"
    log.write_text("Epoch 1/1 loss: 0.5 time: 7000.0 s\n", encoding="utf-8")
    (verdict,) = headway.load(plan).verify(log).verdicts
    assert verdict.progress == pytest.approx(1 / 3)
    assert verdict.promised.p50 == pytest.approx(3750 * 1.8)
    assert verdict.measured_s == pytest.approx(7000.0)


def test_epochs_before_a_resume_took_none_of_its_time(plan: str, tmp_path: Path) -> None:
    of_epochs(plan, 5, rows=1600)
    log = tmp_path / "train.log"
    lines = [f"2026-11-21 10:{(380 * k // 60) % 60:02d}:{380 * k % 60:02d} Epoch {k}/5 loss: 0.5" for k in (3, 4, 5)]
    log.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (verdict,) = headway.load(plan).verify(log).verdicts
    assert (verdict.progress, verdict.measured_s) == (pytest.approx(2 / 5), pytest.approx(760.0))


def test_a_promise_made_after_the_run_began_is_shown_and_not_counted(plan: str) -> None:
    promised(plan, made="2026-11-20T10:00:01Z")
    tracked(plan, "a")
    found = headway.load(plan).verify()
    assert not found.verdicts[0].before
    assert found.answer.ledger.whole is None
    assert "no promise was made before it began" in found.answer.remarks[0]


def test_the_latest_of_several_promises_before_the_run_counts(plan: str) -> None:
    promised(plan, made="2026-11-19T00:00:00Z")
    Path(plan).write_text(PLAN.replace("1.6-2.0 s", "1.0-1.2 s"), encoding="utf-8")
    promised(plan, made="2026-11-20T09:00:00Z")
    promised(plan, made="2026-11-20T10:30:00Z")
    tracked(plan, "a")
    assert headway.load(plan).verify().verdicts[0].promised.p90 == pytest.approx(1200)


def test_what_follows_from_the_authors_rates_alone_is_no_promise_where_there_is_one(plan: str) -> None:
    promised(plan, made="2026-11-20T07:00:00Z", rates="best")
    promised(plan, made="2026-11-20T08:00:00Z")
    promised(plan, made="2026-11-20T11:00:00Z", rates="best")
    tracked(plan, "a")
    (verdict,) = headway.load(plan).verify().verdicts
    chosen = next(one for one in records("estimate", plan) if one.id == verdict.promise)
    assert (chosen.made, chosen.body["rates"], verdict.before) == ("2026-11-20T07:00:00Z", "best", True)


def test_without_a_promise_the_plan_promises_now(plan: str) -> None:
    tracked(plan, "a")
    found = headway.load(plan).verify()
    assert found.verdicts[0].promise == "" and not found.verdicts[0].before
    assert found.verdicts[0].terms[0].promised is not None
    assert found.verdicts[0].terms[0].promised.kind == "predicted"


def test_without_a_promise_and_a_plan_it_says_what_to_name(plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tracked(plan, "a")
    monkeypatch.chdir(Path(plan).parent)
    with pytest.raises(UserError, match="a promise made before it") as refused:
        verify(Asked())
    assert "--plan PLAN" in refused.value.hint


def test_a_run_that_was_looked_at_in_progress_is_looked_at_again_when_it_is_over(plan: str) -> None:
    promised(plan)
    events = tracked(plan, "a") / "events.jsonl"
    lines = events.read_text().splitlines()
    events.write_text("\n".join(lines[:52]) + "\n")  # a header, `begin`, and 500 steps
    (verdict,) = headway.load(plan).verify().verdicts
    assert (verdict.progress, verdict.counts) == (0.5, False)
    events.write_text("\n".join(lines) + "\n")
    found = headway.load(plan).verify(recalibrate=True)
    assert [one.progress for one in found.verdicts] == [1.0]
    assert found.answer.ledger.whole is not None and found.answer.ledger.whole.runs == 1
    assert sorted(record.body["steps"] for record in records("run", plan)) == [500, 1000]
    (measured,) = records("measurement", plan)
    assert measured.body["terms"]["step"]["repeats"] == 1000


def test_a_run_on_another_device_is_not_counted(plan: str) -> None:
    promised(plan)
    tracked(plan, "a", device="NVIDIA H200")
    found = headway.load(plan).verify()
    assert not found.verdicts[0].counts
    assert "ran on H200 SXM 141GB, promised was RTX 4090" in " ".join(found.answer.remarks)


def test_a_run_that_was_broken_off_is_compared_at_its_progress_and_not_counted(plan: str) -> None:
    promised(plan)
    tracked(plan, "a", experiment="small/2k", steps=1220, total_steps=2000, step_s=1.8)
    (verdict,) = headway.load(plan).verify().verdicts
    assert verdict.progress == pytest.approx(0.61)
    assert verdict.promised.p50 == pytest.approx(0.61 * 3600)
    assert verdict.error == pytest.approx(0, abs=1e-9)
    assert not verdict.counts


def test_a_tracked_loop_is_verified_by_the_record_it_left(plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_TRACK", "quiet")
    promised(plan)
    for _ in headway.track(range(40), plan=plan, experiment="small/1k"):
        pass
    (record,) = records("run", plan)
    # waiting is paid per step, as in an estimate: a mean over the run would be taken for that of one step
    assert {term: timed["units"] for term, timed in record.body["stages"][""].items()} == {"step": 40, "data_wait": 40}
    (verdict,) = headway.load(plan).verify(recalibrate=True).verdicts
    assert (verdict.run, verdict.progress, verdict.before) == (record.body["run"], pytest.approx(0.04), True)
    (measured,) = records("measurement", plan)
    waited_s = record.body["stages"][""]["data_wait"]["seconds"]
    assert measured.body["terms"]["data_wait"]["p50"] == pytest.approx(waited_s / 40)


def test_a_log_of_another_tool_is_verified_and_recorded_once(plan: str, tmp_path: Path) -> None:
    promised(plan)
    log = tmp_path / "trainer_log.jsonl"
    rows = [
        {"current_steps": n, "total_steps": 1000, "loss": 2.0, "epoch": n / 1000, "percentage": n / 10,
         "elapsed_time": f"0:{n * 1.8 // 60:02.0f}:{n * 1.8 % 60:02.0f}", "remaining_time": "0:00:00"}
        for n in range(50, 1001, 50)
    ]  # fmt: skip
    log.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    for _ in range(2):
        found = headway.load(plan).verify(log, experiment="small/1k")
    (verdict,) = found.verdicts
    assert verdict.measured_s == pytest.approx(1800, rel=0.01)
    assert not verdict.before, "a log that does not say when it began cannot show that the promise came first"
    assert [record.body["source"] for record in records("run", plan)] == ["trainer_log"]
    assert len(records("verdict", plan)) == 1


@pytest.mark.parametrize("epochs", [5, 4])
def test_a_log_of_epochs_is_compared_at_its_part_of_the_steps(plan: str, tmp_path: Path, epochs: int) -> None:
    """Five epochs of 380 s are 1,900 s against 1,600-1,800-2,000 s of 1,000 steps, four of them 1,520 s of 800."""
    of_epochs(plan, 5, rows=1600)
    log = tmp_path / "train.log"
    lines = [f"Epoch {k}/5 loss: 0.5 time: 380.0 s" for k in range(1, epochs + 1)]
    log.write_text("\n".join(lines) + "\n", encoding="utf-8")
    project = headway.load(plan)
    (verdict,) = project.verify(log).verdicts
    assert (verdict.measured_s, verdict.progress) == (pytest.approx(380 * epochs), pytest.approx(epochs / 5))
    assert verdict.promised.p50 == pytest.approx(360 * epochs)
    assert verdict.inside


def test_a_recorded_run_is_named_by_the_beginning_of_its_id(plan: str) -> None:
    promised(plan)
    for run in ("20261120-a", "20261120-b", "20261121-c"):
        tracked(plan, run)
    project = headway.load(plan)
    project.verify()
    assert [one.run for one in project.verify("20261121").verdicts] == ["20261121-c"]
    with pytest.raises(UsageError) as refused:
        project.verify("20261120")
    assert refused.value.hint == "Meant may be 20261120-a, 20261120-b."
    assert [one.run for one in project.verify("b").verdicts] == ["20261120-b"]
    with pytest.raises(UserError, match="a folder, a log, or the id"):
        project.verify("nothing")


def test_which_of_several_experiments_is_asked_for(plan: str) -> None:
    promised(plan)
    tracked(plan, "a", experiment="")
    with pytest.raises(UsageError, match="which experiment was run") as refused:
        headway.load(plan).verify()
    assert "small/1k, small/2k" in refused.value.hint
    with pytest.raises(UsageError, match="an experiment of the plan"):
        headway.load(plan).verify(experiment="small/9k")
    assert headway.load(plan).verify(experiment="small/1k").verdicts[0].experiment == "small/1k"


def test_one_run_that_cannot_be_compared_does_not_hide_the_others(plan: str) -> None:
    promised(plan)
    tracked(plan, "a")
    tracked(plan, "b", experiment="elsewhere")
    found = headway.load(plan).verify()
    assert [one.run for one in found.verdicts] == ["a"]
    assert any(text.startswith("b is left out") for text in found.answer.remarks)


def test_a_store_that_keeps_nothing_still_answers(plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_STORE", "none")
    tracked(plan, "a")
    assert len(headway.load(plan).verify().verdicts) == 1
    assert not (Path(plan).parent / ".headway" / "headway.db").exists()


def test_a_published_tensorboard_log_against_a_promise_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # AGNews: 1,200 steps and 12 evaluations, train_runtime 796.8508 s, eval/runtime 44.0043 s in all (expected.json)
    monkeypatch.delenv("HEADWAY_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    spread = {"kind": "predicted", "source": "made up"}
    stage = {
        "name": "train", "pace": "p", "kind": "train", "gpus": 1, "counts": {"step": 1200, "evaluation": 6},
        "terms_s": {"step": {"p10": 700, "p50": 760, "p90": 840} | spread,
                    "evaluation": {"p10": 18, "p50": 22, "p90": 30} | spread},
    }  # fmt: skip
    body = {"schema": "headway.promise/1", "plan": {"name": "agnews", "fingerprint": "f"}, "device": "",
            "experiments": [{"id": "run4", "stages": [stage]}]}  # fmt: skip
    keep(replace(made_now("estimate", body, "headway estimate"), made="2025-04-09T20:00:00Z"))
    (verdict,) = verify(Asked(runs=(str(AGNEWS),))).verdicts
    terms = {term.term: term for term in verdict.terms}
    assert verdict.complete and verdict.counts, "TensorBoard says when a run began"
    # twice as often as promised (6 evaluations in 22 s), and each as long: 44.0043 / 12 against 22 / 6
    evaluation = terms["evaluation"]
    assert evaluation.count_s == pytest.approx(22)
    assert evaluation.rate_s == pytest.approx(0.0043, abs=1e-4)
    # what the trainer says of the whole, less evaluations and what neither term holds
    assert verdict.measured_s == pytest.approx(796.85, rel=1e-3)
    assert terms["step"].measured_s == pytest.approx(796.85 - 44.0043, rel=1e-3)
    assert verdict.inside, "718-782-870 s"
    assert verdict.error == pytest.approx((verdict.measured_s - 782) / 782)


# ---- what was assumed


def what_if(plan: str, made: str, step: str, device: str, assume: str) -> None:
    """An estimate of the same plan with something assumed, recorded as of that moment."""
    text = Path(plan).read_text(encoding="utf-8")
    other = Path(plan).with_name("other.yaml")
    other.write_text(text.replace("1.6-2.0 s", step), encoding="utf-8")
    body = promise_of(headway.load(other).estimate(rates="stated").answer, [assume])
    own = {"name": "small", "fingerprint": headway.load(plan).plan.fingerprint, "file": "plan.yaml"}
    record = made_now("estimate", {**body, "plan": own, "device": device}, "headway estimate plan.yaml")
    assert keep(replace(record, made=made), plan)


def test_what_follows_from_an_assumption_is_no_promise_where_there_is_a_plain_one(plan: str) -> None:
    promised(plan, made="2026-11-20T07:00:00Z")
    what_if(plan, "2026-11-20T08:00:00Z", "0.6-1.0 s", "RTX 4090", "stated.step=0.6-1.0 s")
    tracked(plan, "a")
    (verdict,) = headway.load(plan).verify().verdicts
    assert verdict.promised.p50 == pytest.approx(1800) and verdict.counts


def test_an_assumed_device_is_a_promise_where_no_other_is_of_that_device(plan: str) -> None:
    what_if(plan, "2026-11-20T07:00:00Z", "7-9 s", "CPU", "option=cpu")
    what_if(plan, "2026-11-20T08:00:00Z", "8-10 s", "CPU", "run.machine=cpu")
    promised(plan, made="2026-11-20T09:00:00Z")
    tracked(plan, "a", device="cpu", step_s=9.5)
    (verdict,) = headway.load(plan).verify().verdicts
    assert verdict.promised.p50 == pytest.approx(9000) and verdict.counts


@pytest.mark.parametrize(
    ("gpu", "device", "middle_s"),
    [(False, "", 9000), (True, "", 1800), (True, "NVIDIA GeForce RTX 4090", 1800), (True, "NVIDIA H200", 800)],
)
def test_a_tracked_run_is_held_against_the_same_promise(
    plan: str, monkeypatch: pytest.MonkeyPatch, gpu: bool, device: str, middle_s: float
) -> None:
    monkeypatch.setattr(kept_promise, "has_gpu", lambda: gpu)
    monkeypatch.setattr(kept_promise, "device_in_use", lambda: device)
    promised(plan, made="2026-11-20T07:00:00Z")
    what_if(plan, "2026-11-20T08:00:00Z", "8-10 s", "CPU", "run.machine=cpu")
    what_if(plan, "2026-11-20T09:00:00Z", "0.6-1.0 s", "H200 SXM 141GB", "run.machine=H200")
    assert kept_promise.promised(plan, "small/1k").p50_s == pytest.approx(middle_s)


def test_a_tracked_run_is_held_against_a_promise_of_its_experiment(plan: str) -> None:
    promised(plan, made="2026-11-20T07:00:00Z")
    body = records("estimate", plan)[0].body
    part = {**body, "experiments": body["experiments"][1:]}  # what --subset keeps
    keep(replace(made_now("estimate", part, "headway estimate"), made="2026-11-20T08:00:00Z"), plan)
    assert kept_promise.promised(plan, "small/1k").p50_s == pytest.approx(1800)


def test_what_a_run_did_after_it_was_recorded_counts(plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell of a notebook: stopped and recorded at step 20, run again, and killed at step 40."""
    promised(plan)
    monkeypatch.chdir(Path(plan).parent)
    loop = headway.track([1] * 20, plan=plan, experiment="small/1k", quiet=True)
    list(loop)
    again = iter(loop)
    for _ in range(20):
        next(again)
    loop.meter._flush(loop.meter._mark + 1.0)
    later = time.time() + 60.0
    os.utime(Path(plan).parent / ".headway/runs" / loop.run / "events.jsonl", (later, later))
    (verdict,) = headway.load(plan).verify().verdicts
    assert {record.body["steps"] for record in records("run", plan)} == {20, 39}
    assert not verdict.counts


# ---- whose runs they are


@pytest.fixture
def team(plan: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store that two people share: the run `a` of this plan and, of another in another folder, `b` and `c`, of which
    the last names no plan.
    """
    monkeypatch.setenv("HEADWAY_STORE", str(tmp_path / "team.db"))
    theirs = tmp_path / "theirs" / "plan.yaml"
    theirs.parent.mkdir()
    theirs.write_text(PLAN.replace("rank: 4", "rank: 8"), encoding="utf-8")
    for one in (plan, str(theirs)):
        promised(one)
    tracked(plan, "a")
    tracked(str(theirs), "b")
    tracked(str(theirs), "c", plan="")
    headway.load(str(theirs)).verify()
    return plan


def test_runs_of_others_in_a_shared_store_are_not_judged(team: str) -> None:
    assert sorted({record.body["run"] for record in records("run", team)}) == ["b", "c"]
    assert [one.run for one in headway.load(team).verify().verdicts] == ["a"]
    assert [one.run for one in headway.load(team).verify(every=True).verdicts] == ["a"]
    assert [one.run for one in headway.load(team).verify("b", experiment="small/1k").verdicts] == ["b"], "it was named"


def test_a_run_that_names_no_plan_is_of_the_plan_beside_it_or_that_it_was_held_against(team: str) -> None:
    shutil.rmtree(tracked(team, "d", plan="", started="2026-11-20T11:00:00Z").parent / "a")
    assert [one.run for one in headway.load(team).verify().verdicts] == ["d"]
    headway.load(team).verify("c", experiment="small/1k")
    assert [one.run for one in headway.load(team).verify().verdicts] == ["c", "d"]


def test_a_run_of_the_same_experiment_in_another_version_of_the_plan_is_judged(plan: str) -> None:
    promised(plan)
    tracked(plan, "a")
    tracked(plan, "b", experiment="small/2k", steps=2000)
    Path(plan).write_text(PLAN.replace("[1k, 2k]", "[1k, 4k]"), encoding="utf-8")
    promised(plan)
    assert [one.run for one in headway.load(plan).verify().verdicts] == ["a"]


def test_a_run_under_an_option_is_of_the_plan(plan: str) -> None:
    """`--option cpu` may train another model: the plan's fingerprint under it is another."""
    promised(plan)
    body = records("estimate", plan)[0].body
    under = {**body, "plan": {**body["plan"], "fingerprint": "under-the-option"}, "option": "cpu",
             "assume": ["option=cpu"]}  # fmt: skip
    keep(replace(made_now("estimate", under, "headway estimate"), made="2026-11-20T07:00:00Z"), plan)
    tracked(plan, "a", plan="under-the-option")
    assert [one.run for one in headway.load(plan).verify().verdicts] == ["a"]


def test_runs_of_other_plans_are_said_to_be_there(plan: str) -> None:
    promised(plan)
    tracked(plan, "a", plan="of-another")
    with pytest.raises(UserError, match="there is a run to verify") as error:
        headway.load(plan).verify()
    assert "1 of others" in error.value.got


def test_an_experiment_that_is_asked_for_relabels_no_run(plan: str) -> None:
    promised(plan)
    first = tracked(plan, "a")
    tracked(plan, "b", experiment="small/2k", steps=2000)
    tracked(plan, "c", experiment="", steps=2000, started="2026-11-20T11:00:00Z")
    found = headway.load(plan).verify(experiment="small/2k").verdicts
    assert [(one.run, one.experiment) for one in found] == [("b", "small/2k"), ("c", "small/2k")]
    with pytest.raises(UsageError, match="the experiment that it names"):
        headway.load(plan).verify(first, experiment="small/2k")


# ---- what is recorded of a run more than once


def halves(plan: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a tracked loop records of one run of 1,000 steps at its middle and at its end; its folder is gone."""
    folder = tracked(plan, "a")
    whole = {name: value for name, value in read_run(folder).items() if name != "finished"}
    shutil.rmtree(folder)
    timed = {"step": {"seconds": 950.0, "units": 500}}
    return {**whole, "stages": {"": timed}, "steps": 500, "wall_s": 950.0}, whole


def saved(plan: str, body: dict[str, Any], made: str) -> None:
    keep(replace(made_now("run", body, "headway.track"), made=made), plan)


def test_a_run_that_was_recorded_again_after_its_verdict_is_looked_at_again(plan: str) -> None:
    promised(plan)
    half, whole = halves(plan)
    saved(plan, half, "2026-11-20T10:20:00Z")
    assert [one.progress for one in headway.load(plan).verify().verdicts] == [0.5]
    saved(plan, whole, "2999-01-01T00:00:00Z")
    tracked(plan, "b")
    assert [(one.run, one.progress) for one in headway.load(plan).verify().verdicts] == [("a", 1.0), ("b", 1.0)]


def test_of_two_records_of_the_same_second_the_later_counts(plan: str) -> None:
    _, whole = halves(plan)
    for number in range(8):  # the order in the store is that of their fingerprints
        for wall_s in (1900.0, 1905.0):
            saved(plan, {**whole, "run": f"run-{number}", "wall_s": wall_s}, "2026-11-20T10:40:00Z")
    found = verb._recorded(History(None, records("run", plan)))
    assert [body["wall_s"] for body in found.values()] == [1905.0] * 8


def test_a_record_of_another_form_is_left_out(plan: str) -> None:
    promised(plan)
    tracked(plan, "a")
    made, own = "2026-11-20T10:00:00Z", headway.load(plan).plan.fingerprint
    saved(plan, {"schema": "headway.run/1", "run": "b", "plan": own}, made)
    saved(plan, {"schema": "headway.run/1"}, made)
    found = headway.load(plan).verify(recalibrate=True)
    assert [one.run for one in found.verdicts] == ["a"]
    assert any(text.startswith("b is left out: a stored run has the form") for text in found.answer.remarks)


def test_a_run_without_a_step_is_left_out_and_hides_no_other(plan: str) -> None:
    promised(plan)
    _, whole = halves(plan)
    tracked(plan, "a")
    headway.load(plan).verify()
    none = {**whole, "run": "b", "name": "b", "stages": {"": {}}, "steps": 0, "wall_s": 30.0}
    saved(plan, none, "2026-11-20T10:01:00Z")
    found = headway.load(plan).verify()
    assert [one.run for one in found.verdicts] == ["a"]
    assert any(text.startswith("b is left out: a run that is not finished") for text in found.answer.remarks)


def test_a_job_that_failed_keeps_no_promise(plan: str) -> None:
    promised(plan)
    with pytest.raises(UserError, match="that is not finished is compared by its steps"):
        headway.load(plan).verify(SACCT, experiment="small/1k")  # it was cancelled
    (verdict,) = headway.load(plan).verify(SACCT.with_name("columns.txt"), experiment="small/1k").verdicts
    assert verdict.complete


def test_no_name_of_a_node_is_recorded(plan: str) -> None:
    body = read_run(SACCT)
    assert body["wall_s"] == 45_130
    assert "node0" not in json.dumps(body)


# ---- recalibrating


def test_recalibrating_makes_the_next_estimate_measured_and_narrow(plan: str) -> None:
    promised(plan)
    tracked(plan, "a", step_s=1.9)
    found = headway.load(plan).verify(recalibrate=True)
    (body,) = found.answer.measurements or ()
    assert body["schema"] == "headway.measurement/1"
    assert body["stage"] == headway.load(plan).plan.experiments[0].stages[0].pace
    assert body["terms"]["step"]["p50"] == pytest.approx(1.9)
    assert body["terms"]["data_wait"]["p90"] == 0, "waiting was not timed apart: it is in the step"
    after = headway.load(plan).estimate().estimate
    for experiment, steps in zip(after.experiments, (1000, 2000), strict=True):
        step = experiment.terms_s["step"]
        assert step.kind == "measured"
        assert step.p50 == pytest.approx(steps * 1.9, rel=0.01)
        assert 1.04 < step.p90 / step.p10 < 1.15
    assert [one.experiment for one in found.answer.learnt] == ["small/1k", "small/2k"]
    assert found.answer.learnt[0].before.kind == "predicted"
    assert found.answer.learnt[0].after.p50 == pytest.approx(after.experiments[0].wall_s.p50, rel=0.01)


def test_runs_of_the_same_stage_are_taken_together(plan: str) -> None:
    promised(plan)
    tracked(plan, "a", step_s=1.8)
    headway.load(plan).verify()
    tracked(plan, "b", step_s=2.0, started="2026-11-20T12:00:00Z")
    (body,) = headway.load(plan).verify(recalibrate=True).answer.measurements or ()
    assert body["task"]["runs"] == ["a", "b"]
    assert body["terms"]["step"]["p50"] == pytest.approx((1.8 * 2.0) ** 0.5)
    assert body["terms"]["step"]["repeats"] == 2000


def test_evaluations_inside_the_steps_that_were_timed_are_not_paid_again(plan: str) -> None:
    said = "datasets: {held: {rows: 4k, length: 100}}\ntasks: {qa: {data: held}}\n"
    Path(plan).write_text(f"{PLAN}{said}evaluate: {{tasks: qa, every: 100 steps}}\n", encoding="utf-8")
    promised(plan, rates="best")
    tracked(plan, "a", step_s=1.9)  # the whole wall clock, evaluations and all
    found = headway.load(plan).verify(recalibrate=True)
    (body,) = found.answer.measurements or ()
    assert body["terms"]["evaluation"]["p90"] == 0
    assert "evaluating was not timed apart: it is in the step" in body["remarks"]
    after = headway.load(plan).estimate().estimate.experiments[0]
    assert after.terms_s["step"].p50 == pytest.approx(1900, rel=0.01)
    assert after.terms_s["evaluation"].p90 == 0


def test_a_run_that_timed_no_steps_teaches_nothing_and_says_how_it_would(plan: str) -> None:
    promised(plan)
    folder = tracked(plan, "a", steps=0, total_steps=1000)
    (folder / "events.jsonl").write_text(
        (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()[0] + "\n"
        '{"kind": "begin", "at_s": 0.0}\n{"kind": "end", "at_s": 1900.0, "step": 1000}\n', encoding="utf-8",
    )  # fmt: skip
    found = headway.load(plan).verify()
    assert found.verdicts[0].measured_s == pytest.approx(1900)
    with pytest.raises(UserError, match="timed its steps") as refused:
        headway.load(plan).verify("a", recalibrate=True)
    assert "headway.track" in refused.value.hint


# ---- what becomes of a log


def test_the_document_of_a_log_by_hand() -> None:
    log = RunLog(
        format="console",
        name="train.log",
        observations=(
            Observation(kind="step", at_s=0.0, seconds=10.0, step=5, steps=5),
            Observation(kind="step", at_s=12.0, seconds=12.0, step=10, steps=5, wait_s=2.0),
            Observation(kind="evaluation", at_s=42.0, seconds=30.0, step=10),
        ),
        total_steps=20,
        facts={"device": "Tesla T4", "started": "2026-11-20T11:00:00+01:00"},
    )
    found = run_document(log)
    assert found["wall_s"] == 52, "the first step was over at the first moment that the log knows"
    step = found["stages"][""]["step"]
    assert (step["seconds"], step["units"]) == (20.0, 10)
    assert step["each_error_s"] == pytest.approx(0.0)
    assert found["stages"][""]["data_wait"]["seconds"] == 2.0
    assert (found["steps"], found["total_steps"], found["finished"]) == (10, 20, False)
    assert (found["device"], found["started"], found["ended"]) == ("T4", "2026-11-20T10:00:00Z", None)
    assert found["run"] == run_document(log)["run"], "the same log is the same run"


def test_a_log_without_times_is_refused_with_what_has_some(tmp_path: Path) -> None:
    log = tmp_path / "trainer_state.json"
    rows = [{"epoch": 0.1 * n, "loss": 2.0, "step": n} for n in range(1, 5)]
    log.write_text(json.dumps({"log_history": rows, "global_step": 4, "max_steps": 4}), encoding="utf-8")
    with pytest.raises(UserError, match="verified by its times"):
        read_run(log)


@pytest.mark.parametrize(
    ("said", "name"),
    [("NVIDIA GeForce RTX 4090", "RTX 4090"), ("cpu", "CPU"), ("a card of 2031", "a card of 2031"), ("", "")],
)
def test_devices_by_the_catalogs_name(said: str, name: str) -> None:
    assert device_name(said) == name


@pytest.mark.parametrize("said", ["", "yesterday", None, 1e30])
def test_a_moment_that_is_none_is_unknown(said: object) -> None:
    assert moment(said) == ""
