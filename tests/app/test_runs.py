"""What of a log becomes part of the record: how far it came, whether it is over, how long it took; figures by hand."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from headway.app.runs import run_document
from headway.domain.errors import UserError
from headway.domain.observation import Observation, RunLog
from headway.logs.lines.line_reader import LineReader


def log(said: Iterable[Observation], total: int | None = None, **facts: float | str) -> RunLog:
    return RunLog(format="console", name="train.log", observations=tuple(said), total_steps=total, facts=facts)


def step(number: int, at_s: float, steps: int, **more: int) -> Observation:
    return Observation(kind="step", step=number, at_s=at_s, seconds=float(steps), steps=steps, **more)


class TestSteps:
    def test_a_console_of_a_resumed_run_counts_its_own(self) -> None:
        """It went on from step 899: 900 to 1,000 are 101."""
        said = [Observation(kind="begin", at_s=0.0), step(900, 1.0, 1), step(950, 51.0, 50), step(1000, 101.0, 50)]
        assert run_document(log(said, total=1000))["steps"] == 101

    def test_a_bar_that_begins_late_is_read_so(self) -> None:
        reader = LineReader()
        bars = [f" {n // 10}%|███       | {n}/1000 [00:{at:02d}<05:00,  1.00it/s]" for n, at in
                [(0, 0), (900, 0), (910, 10), (920, 20), (930, 30)]]  # fmt: skip
        seen = [*reader.feed("\r".join(bars) + "\n"), *reader.close()]
        assert any("resumed" in problem for problem in reader.problems)
        assert run_document(log(seen, total=1000))["steps"] == 31

    def test_all_attempts_of_a_log_are_its_own(self) -> None:
        """As their times are: 10 steps, then from a checkpoint at 5 up to 20; those that were done twice once."""
        said = [Observation(kind="begin", at_s=0.0), step(5, 5.0, 5), step(10, 10.0, 5)]
        said += [Observation(kind="begin", at_s=10.0, step=5, attempt=1), step(10, 15.0, 5, attempt=1)]
        said += [step(20, 25.0, 10, attempt=1)]
        assert run_document(log(said))["steps"] == 20

    def test_a_beginning_that_names_its_checkpoint_is_believed(self) -> None:
        said = [Observation(kind="begin", at_s=0.0, step=40), step(60, 20.0, 20)]
        assert run_document(log(said))["steps"] == 20

    def test_a_run_without_a_step_is_not_a_whole_one(self) -> None:
        evaluated = Observation(kind="evaluation", at_s=30.0, seconds=30.0, step=0)
        told = Observation(kind="step", at_s=31.0, step=0, steps=0)
        for said in ([evaluated], [evaluated, told], [Observation(kind="load", at_s=9.0, seconds=9.0)]):
            with pytest.raises(UserError, match="by the steps that it did") as refused:
                run_document(log(said, total=1000))
            assert "of 1,000 that were meant none" in refused.value.got
        assert run_document(log([evaluated]))["steps"] == 0, "how many were meant is not known"


class TestEnd:
    @pytest.mark.parametrize(
        ("fact", "said", "finished"),
        [
            ("state", "COMPLETED", True),
            ("state", "FAILED", False),
            ("state", "TIMEOUT", False),
            ("state", "CANCELLED", False),
            ("state", "finished", True),
            ("state", "crashed", False),
            ("status", "KILLED", False),
            ("status", "FINISHED", True),
        ],
    )
    def test_a_run_that_was_ended_is_not_finished(self, fact: str, said: str, finished: bool) -> None:
        ended = [Observation(kind="begin", at_s=0.0), Observation(kind="end", at_s=60.0, seconds=60.0)]
        found = run_document(log(ended, started="2026-11-20T10:00:00Z", **{fact: said}))
        assert (found["finished"], found["ended"] is not None) == (finished, finished)

    def test_samples_of_the_machine_do_not_lengthen_a_run(self) -> None:
        said = [Observation(kind="begin", at_s=0.0), step(50, 50.0, 50), Observation(kind="device", at_s=500.0)]
        assert run_document(log(said))["wall_s"] == 50.0
