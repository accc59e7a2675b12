"""What a probe measures, in which order: everything that costs time once, then whatever narrows the total most.

Owns the order and what is said of each sample (one JSON object each). When it is enough is `stopping.py`, the largest
micro-batch `limits.py`, the program around it `bench.py`.
"""

from __future__ import annotations

import errno
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from headway.domain.errors import UserError
from headway.domain.sample import outliers, summarise
from headway.domain.units import format_share
from headway.worker.machine.facts import free_disk_bytes, sensors
from headway.worker.machine.others import Others
from headway.worker.probing.disk import disk_speed
from headway.worker.probing.limits import load_refusal, longest, tried
from headway.worker.probing.sizes import counts_of, fewer, run_sizes, shorter
from headway.worker.probing.stopping import (
    HOST_SHARE,
    LEAST_SHARE,
    LEAST_STEPS,
    ONCE_SHARE,
    UNCOUNTED_SHARE,
    Budget,
    Total,
    discarded,
)
from headway.worker.task import Task
from headway.worker.training.checkpoint import Moved, NotWritten
from headway.worker.training.rows import Rows, Step, optimizer_steps, read_rows, unlike_batches
from headway.worker.training.session import Session, StepTime, is_out_of_memory

Say = Callable[..., None]
"""Prints one event: its name and its facts."""
LONGEST_SHARE = 0.3
"""Of what is left that a step on the longest rows may take where its memory can be worked out."""
OTHER_SIZES = 3
"""Steps of each size but the planned one; the first of a size is not counted."""
OTHER_SHARE = 0.15
"""Of what is left that steps of other sizes may take."""
REPEATED = ("step", "evaluation")
"""Terms whose error more time narrows: a probe stops by them."""
BUSY = 0.1
"""Share of the host's processors taken by other programs that is remarked on."""
FULL = (errno.ENOSPC, errno.EDQUOT)
"""Faults of a disk that takes no more."""
LARGE_BYTES = 1.2e9
KEPT = (
    "memory that a step frees was kept: without MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=1000000000000 your own "
    "program on a CPU may be a quarter slower"
)
"""Said of a process that held more: torch and a tiny model hold half of that, and lose little."""
SENSE_S = 5.0
STEP_FACTS = ("seconds", "wait_s", "rows", "tokens", "squares", "longest", "micro_steps")
COOLED = 0.03
"""Change of the steps' mean, or of a GPU's clock, between beginning and end that is remarked on."""


class OutOfMemoryHere(Exception):
    """The planned step does not run; what does was said."""


class Probe:
    """One task's probe; `measure` once. What it found out so far is in its fields at any moment."""

    def __init__(self, task: Task, session: Session, budget: Budget, say: Say) -> None:
        """`session` is not loaded yet."""
        self.task, self.session, self.budget, self.say = task, session, budget, say
        self.total = Total(counts=task.counts or counts_of(task))
        self.remarks: list[str] = []
        self.warm_up: dict[str, float] = {"steps": 0, "seconds": 0.0}
        self.run: dict[str, float] = {}
        self.evaluation_peak_bytes: int | None = None
        self.evaluation_fits: bool | None = None
        self._peak_bytes = 0
        self._sensed: dict[str, float] = {}
        self._sense_at = 0.0
        self._on_host = session.device.type == "cpu"
        self._others = self._watched()

    def measure(self, import_s: float) -> str:
        """All of it; why it stopped. Raises OutOfMemoryHere, UserError."""
        rows = self._load(import_s)
        self.run = run_sizes(rows, self.task)
        self._compile(rows)
        if self._on_host:  # before anything large: nothing refuses there
            self._longest(rows)
        order = optimizer_steps(rows.train, self.task.batches, self.task.seed)
        self._warm_up(order, rows)
        if not self._on_host:
            self._longest(rows)
        self._disk_and_saves()
        chunks = self._chunks(rows)
        if chunks is not None:
            self._evaluate(next(chunks))
        self._other_sizes(order)
        return self._until_sure(order, chunks)

    def facts(self) -> dict[str, Any]:
        """What the last event says beside why it stopped: the run's sizes, warm-up, errors, drift, remarks."""
        steps = self.total.seconds.get("step", [])
        found: dict[str, Any] = {"warm_up": self.warm_up, "run": self.run, "spent_s": round(self.budget.spent_s, 3)}
        if steps:
            alike = self.total.steps_alike()
            said = summarise(alike.tolist())
            found |= {"error": self.total.error(), "drift": said.drift, "outliers": int(outliers(alike).sum())}
            if len(steps) >= 2 * LEAST_STEPS and abs(said.drift) > max(COOLED, 4 * said.relative_error):
                self.remarks.append(f"the second half of the steps was {format_share(abs(said.drift))} "
                                    f"{'slower' if said.drift > 0 else 'faster'} than the first")  # fmt: skip
        found |= {"evaluation_peak_bytes": self.evaluation_peak_bytes, "evaluation_fits": self.evaluation_fits}
        found["repeats"] = {term: len(known) for term, known in self.total.seconds.items()}
        self._sense_again()
        if self.session.keeps_memory and self._peak_bytes > LARGE_BYTES:
            self.remarks.append(KEPT)
        found["others_share"] = share = self._others.share()
        if share is not None and share > BUSY:
            self.remarks.append(
                f"other programs took {format_share(share)} of the processors it needed: times hold beside them"
            )
        return found | {"remarks": self.remarks}

    # ---- what is paid once

    def _load(self, import_s: float) -> Rows:
        """Data, then model, as a run does it."""
        rows = read_rows(self.task, self.session.vocabulary)
        self.say("sample", term="tokenize", seconds=rows.seconds, encode_s=rows.tokenize_s, tokens=rows.tokens,
                 rows=len(rows.train))  # fmt: skip
        if self._on_host and (words := load_refusal(self.task)):
            raise OutOfMemoryHere(words)
        moved = self.session.load(rows.pad)
        self.say("sample", term="load", seconds=import_s + moved.seconds, import_s=import_s, build_s=moved.seconds,
                 bytes=moved.bytes)  # fmt: skip
        self.total.add("tokenize", rows.seconds)
        self.total.add("load", import_s + moved.seconds)
        return rows

    def _compile(self, rows: Rows) -> None:
        """Kernels as a run makes them; on a host for two rows, as nobody knows yet whether there is room for more."""
        if not self.task.recipe.compile:
            return
        batches = unlike_batches(self.task, rows.train)
        try:
            seconds = self.session.compile([batch[:2] for batch in batches] if self._on_host else batches)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        else:
            self.say("sample", term="compile", seconds=seconds)
            self.total.add("compile", seconds)
            return
        raise self._refused(rows)

    def _longest(self, rows: Rows) -> None:
        found = longest(self.session, rows.train, LONGEST_SHARE * self.budget.left_s)
        said = {name: value for name, value in asdict(found).items() if name != "fits"}
        self._peak_bytes = found.peak_bytes
        self.say("longest", fits=found.fits, planned_rows=self.task.batches.micro_batch, **said)
        if not found.fits:
            raise OutOfMemoryHere(out_of_memory(self.task, found.rows))

    def _refused(self, rows: Rows) -> OutOfMemoryHere:
        """A step as planned ran out of memory: what to raise once it is known what runs. Raises it where less does."""
        self.session.recover()
        self._longest(rows)
        return OutOfMemoryHere("out of memory in a step as planned, though the longest rows ran: it is at the limit")

    def _warm_up(self, order: Iterator[Step], rows: Rows) -> None:
        """Steps until they are typical; the typical ones count."""
        took: list[StepTime] = []
        while True:
            step = tried(self.session, next(order))
            if step is None:
                raise self._refused(rows)
            took.append(step)
            costs = [(one.seconds - one.wait_s) / one.tokens for one in took]
            spent = sum(one.seconds for one in took)
            if (first := discarded(costs, spent, self.budget.left_s)) is not None:
                break
            if self.budget.left_s < step.seconds:
                first = len(took) - 1
                break
        self.warm_up = {"steps": first, "seconds": sum(one.seconds for one in took[:first])}
        if first == 0:
            self.remarks.append("there was no time for a warm-up: the first step counts")
        self._sensed, self._others = sensors(self.session.device), self._watched()
        for step in took[first:]:
            self._say_step(step, "planned")

    def _disk_and_saves(self) -> None:
        """The disk's speed, then one save of each kind, its reading back, and its removal."""
        wanted = [term for term in ("checkpoint", "final_save") if self.total.counts.get(term)]
        if not wanted:
            return
        place = Path(self.task.out or tempfile.gettempdir())
        try:
            place.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="headway-probe-", dir=place) as folder:
                write_bytes_per_s = self._disk(Path(folder))
                known = {"checkpoint": self.session.checkpoint_bytes(), "final_save": self.session.final_bytes()}
                sizes = {term: known[term] for term in wanted}
                together = sum(sizes.values())  # the checkpoint lies there while the last save is written
                if together > free_disk_bytes(folder):
                    self.remarks.append(f"saves of {together / 1e9:.2f} GB have no room on the disk: not measured")
                elif max(sizes.values()) / write_bytes_per_s > ONCE_SHARE * self.budget.left_s:
                    self._scaled_save(sizes, write_bytes_per_s)
                else:
                    self._saves(Path(folder), wanted)
        except OSError as error:
            if error.errno not in FULL:
                raise UserError("the run's folder must be writable", got=error.strerror or str(error)) from None
            self.remarks.append("the disk is full: saves were not measured")

    def _saves(self, folder: Path, wanted: Sequence[str]) -> None:
        """One of each kind, but for what cannot be written: the steps count all the same."""
        try:
            if "checkpoint" in wanted:
                self._say_moved("checkpoint", self.session.save(folder))
                self._read_back(folder)
            if "final_save" in wanted:
                self._say_moved("final_save", self.session.save_final(folder))
        except NotWritten as error:
            self.remarks.append(f"a save could not be written ({error.got}): not measured")

    def _read_back(self, folder: Path) -> None:
        """The checkpoint in a folder, every byte of it compared with what was written."""
        back = self.session.resume(folder)
        if back is None:
            raise UserError("a checkpoint must be read back as it was written", got="a file that differs",
                            hint="The disk is not to be trusted.")  # fmt: skip
        self._say_moved("resume", back)

    def _say_moved(self, term: str, moved: Moved) -> None:
        self.say("sample", term=term, seconds=moved.seconds, bytes=moved.bytes, check_s=moved.check_s)
        self.total.add(term, moved.seconds)

    def _scaled_save(self, sizes: Mapping[str, int], write_bytes_per_s: float) -> None:
        """A save that would take most of the budget is worked out from the disk's speed, and says so."""
        largest = max(sizes.values()) / 1e9
        self.remarks.append(f"a checkpoint of {largest:.2f} GB was worked out from the disk's speed, not written")
        for term, size in sizes.items():
            seconds = size / write_bytes_per_s
            self.say("sample", term=term, seconds=seconds, bytes=size, scaled=True)
            self.total.add(term, seconds)

    def _disk(self, folder: Path) -> float:
        """Bytes per second that reach the disk; reading is said as far as the system forgets what it wrote."""
        write_s, read_s, size = disk_speed(folder)
        self.say("disk", write_bytes_per_s=size / write_s, read_bytes_per_s=size / read_s if read_s else None,
                 free_bytes=free_disk_bytes(folder), bytes=size)  # fmt: skip
        return size / write_s

    # ---- what is paid again and again

    def _chunks(self, rows: Rows) -> Iterator[Step] | None:
        """Batches of held-out rows for ever, at random; None where the run evaluates nothing."""
        evaluation = self.task.evaluation
        if evaluation is None or not rows.held_out or not self.total.counts.get("evaluation"):
            return None
        size = min(evaluation.rows_at_a_time, len(rows.held_out))
        starts = range(0, len(rows.held_out) - size + 1, size)
        rng = np.random.default_rng(self.task.seed)

        def drawn() -> Iterator[Step]:
            while True:
                for at in rng.permutation(len(starts)).tolist():
                    yield (tuple(rows.held_out[starts[at] : starts[at] + size]),)

        return drawn()

    def _evaluate(self, chunk: Step) -> None:
        """One batch of held-out rows; where memory runs out, evaluations are left out: the steps count all the same."""
        try:
            self._evaluated(chunk)
            return
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        self.evaluation_fits = False
        self.session.let_go()  # behind the handler: the error holds the tensors of its frames
        known = self.total.seconds.pop("evaluation", None)
        self.remarks.append(f"an evaluation of {len(chunk[0])} rows at a time ran out of memory: "
                            f"{'those before it count' if known else 'not measured'}")  # fmt: skip

    def _evaluated(self, chunk: Step) -> None:
        evaluation = self.task.evaluation
        if evaluation is None:
            return
        first = not self.total.seconds.get("evaluation")
        if first:
            self.session.peak.forget()
        seen = self.session.evaluate(chunk[0])
        if first:
            self.evaluation_peak_bytes = self.session.peak.bytes()
            makes_kernels = self.task.recipe.compile or not self._on_host  # of another shape than a step's
            left_s = self.budget.left_s
            if left_s and (makes_kernels or seen.seconds <= UNCOUNTED_SHARE * left_s):
                seen = self.session.evaluate(chunk[0])
        self.say("sample", term="evaluation", seconds=seen.seconds, rows=seen.rows, tokens=seen.tokens,
                 of_rows=evaluation.rows)  # fmt: skip
        self.total.add("evaluation", seen.seconds * evaluation.rows / seen.rows)

    def _other_sizes(self, order: Iterator[Step]) -> None:
        """Steps with half the tokens a row, and with fewer micro-steps or rows: they tell the parts of a step apart."""
        step_s = self.total.mean_s("step")
        if self.task.recipe.compile or 2 * (OTHER_SIZES + 1) * step_s > OTHER_SHARE * self.budget.left_s:
            return
        for size, made in (("shorter", shorter), ("fewer", fewer)):
            steps = [changed for one in islice(order, OTHER_SIZES + 1) if (changed := made(one)) is not None]
            for index, step in enumerate(steps):
                if index:
                    self._step(step, size)
                else:
                    self.session.step(step)

    def _until_sure(self, order: Iterator[Step], chunks: Iterator[Step] | None) -> str:
        """Whatever narrows the total most per second, until it is known well enough or the budget is spent."""
        wanted = self.task.tolerance
        while True:
            steps, error = self.total.seconds["step"], self.total.error(REPEATED)
            share = HOST_SHARE if self._on_host else LEAST_SHARE
            covered = len(steps) >= LEAST_STEPS and sum(steps) >= share * self.budget.seconds
            if covered and error < wanted:
                return f"error {format_share(error)} < {format_share(wanted)}"
            costs = {"step": self.total.mean_s("step")} | self._evaluation_costs()
            if self.budget.left_s < costs["step"]:
                return f"budget of {self.budget.seconds:g} s spent, error {format_share(error)}"
            if self.total.next(costs, self.budget.left_s) == "evaluation" and chunks is not None:
                self._evaluate(next(chunks))
            else:
                self._step(next(order), "planned")
            self._sense_now_and_then()

    def _evaluation_costs(self) -> dict[str, float]:
        """Seconds of one more batch of held-out rows, where the run has evaluations."""
        evaluation = self.task.evaluation
        if evaluation is None or "evaluation" not in self.total.seconds:
            return {}
        share = min(evaluation.rows_at_a_time / evaluation.rows, 1.0)
        return {"evaluation": share * self.total.mean_s("evaluation")}

    def _step(self, step: Step, size: str) -> None:
        """One step; on a host with what the processors worked on it, which other programs hardly change."""
        began = time.process_time()
        took = self.session.step(step)
        self._say_step(took, size, {"cpu_s": time.process_time() - began} if self._on_host else {})

    def _say_step(self, took: StepTime, size: str, more: Mapping[str, float] = MappingProxyType({})) -> None:
        said = {name: getattr(took, name) for name in STEP_FACTS}
        device = {} if took.device_s is None else {"device_s": took.device_s}
        self.say("sample", term="step", size=size, **said, **device, **more)
        if size == "planned":
            self.total.add("step", took.seconds, took.tokens)

    # ---- the machine

    def _watched(self) -> Others:
        """From now on; a GPU is kept busy by one thread, whatever torch has."""
        return Others(torch.get_num_threads() if self._on_host else 1)

    def _sense_now_and_then(self) -> None:
        """What a GPU says of itself, every few seconds."""
        if not self._on_host and time.perf_counter() > self._sense_at:
            self._sense_at = time.perf_counter() + SENSE_S
            self.say("device", **sensors(self.session.device))

    def _sense_again(self) -> None:
        """A remark where the clock fell since the warm-up."""
        before, now = self._sensed.get("clock_hz"), sensors(self.session.device).get("clock_hz")
        if before and now and abs(now / before - 1) > COOLED:
            self.remarks.append(f"the GPU's clock went from {before / 1e6:.0f} to {now / 1e6:.0f} MHz")


def out_of_memory(task: Task, runs: int) -> str:
    """Why the probe ended, in words."""
    found = f"a micro-batch of {runs} does" if runs else "not even one row does"
    return f"out of memory: a micro-batch of {task.batches.micro_batch} does not run on the longest rows, {found}"
