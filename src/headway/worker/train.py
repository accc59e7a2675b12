"""`python -m headway.worker.train`: trains a task for real, from its JSON on standard input to its last step.

Owns the program: when a run evaluates and saves, and what it says of it (`headway.events/1`, on standard output and in
`events.jsonl` of the task's folder). Exit code 1 where it cannot train, 2 for a task that it does not understand, 4 out
of memory, 130 interrupted: the step that runs is finished and saved, a second signal stops at once.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway.domain.errors import UsageError, UserError
from headway.domain.observation import Observation
from headway.domain.optimizer import optimizer_name
from headway.worker.events import Events
from headway.worker.task import OF_BITSANDBYTES, Task, read_task
from headway.worker.trace import ERROR, INSTALL, OK, USAGE, require

if TYPE_CHECKING:
    from headway.worker.training.checkpoint import Moved
    from headway.worker.training.rows import MicroBatch, Rows, Step
    from headway.worker.training.session import Session

OUT_OF_MEMORY, INTERRUPTED = 4, 130
FEELS_EVERY_S = 10.0
BEGAN = time.perf_counter()


class Stop:
    """Whether the run was asked to stop. While a step may be finished, the first signal waits for its end."""

    def __init__(self) -> None:
        self.asked = False
        self.waits = False

    def listen(self) -> None:
        """Take SIGINT and SIGTERM."""
        for one in (signal.SIGINT, signal.SIGTERM):
            signal.signal(one, self._hear)

    def _hear(self, number: int, frame: object) -> None:
        if self.asked or not self.waits:
            raise KeyboardInterrupt
        self.asked = True
        _tell("stopping after this step; a second signal stops at once")


def _tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)  # noqa: T201 - a program's own stream


def prepare(task: Task) -> tuple[Session, float]:
    """The session, not yet loaded, and the seconds of importing what it needs, a GPU's context among them.

    Raises UserError for what is missing.
    """
    require(("torch", "transformers", "safetensors", *(("peft",) if task.recipe.rank else ())))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when transformers is imported
    began = time.perf_counter()
    try:
        from headway.worker.training.session import Session

        for name in _used_later(task):
            importlib.import_module(name)
    except ImportError as error:
        raise UserError("training needs newer training libraries", got=str(error), hint=f"{INSTALL} -U") from None
    session = Session(task)
    return session, time.perf_counter() - began


def _used_later(task: Task) -> Iterator[str]:
    """Installed libraries that take seconds to import and would be imported while the model is made."""
    if task.recipe.rank:
        yield "peft"
    packed = task.recipe.quantize != "none" or optimizer_name(task.recipe.optimizer) in OF_BITSANDBYTES
    if packed and importlib.util.find_spec("bitsandbytes") is not None:
        yield "bitsandbytes"


def header_of(task: Task, session: Session) -> dict[str, Any]:
    """The first line of the run's events, beside its schema and start."""
    from headway.worker.machine.facts import machine

    about = machine(session.device)
    sizes = {"total_steps": task.steps, "micro_batch": task.batches.micro_batch, "grad_accum": task.batches.grad_accum}
    names = {"plan": "", "experiment": "", "stage": "", "gpus": 1, "device": about["device"], "host": about["host"]}
    return names | sizes | {"weights": session.weights, "machine": about} | dict(task.header)


@dataclass(kw_only=True)
class Run:
    """One run of a task from its beginning, or its newest checkpoint, to its last step."""

    task: Task
    session: Session
    import_s: float
    events: Events
    stop: Stop
    felt: float = 0.0
    """Moment at which the GPU was last asked how it does."""

    def go(self) -> None:
        """Do all of it; every observation is said as soon as it is made."""
        from headway.worker.training.rows import optimizer_steps, read_rows, steps_per_epoch, unlike_batches

        task, session = self.task, self.session
        self.events.say(Observation(kind="begin"))
        rows = read_rows(task, session.vocabulary)
        self.events.say(
            Observation(kind="tokenize", seconds=rows.seconds, rows=len(rows.train), tokens=rows.tokens,
                        values={"held_out_rows": rows.new_held_out})
        )  # fmt: skip
        self._load(rows)
        order = optimizer_steps(rows.train, task.batches, task.seed, session.done)
        if task.recipe.compile and session.done < task.steps:
            held = rows.held_out[: 2 * task.evaluation.rows_at_a_time] if task.evaluation else ()
            seconds = session.compile(unlike_batches(task, rows.train), held)
            self.events.say(Observation(kind="compile", seconds=seconds))
        each = steps_per_epoch(len(rows.train), task.batches)
        self.stop.waits = True
        while session.done < task.steps and not self.stop.asked:
            self._step(order, each)
            self._now_and_then(rows)
        if session.done >= task.steps and self._folder is not None:
            self._say_moved("final_save", session.save_final(self._folder))

    @property
    def _folder(self) -> Path | None:
        return None if self.task.out is None else Path(self.task.out)

    def _load(self, rows: Rows) -> None:
        """Model and optimizer, and the checkpoint of an earlier attempt; importing the libraries is part of it."""
        moved = self.session.load(rows.pad)
        values = {"import_s": self.import_s, "weights_s": moved.seconds, "weight_bytes": float(moved.bytes)}
        resumed = self.session.resume(self._folder) if self.task.resume and self._folder is not None else None
        if resumed is not None:
            values |= {"resume_s": resumed.seconds, "resume_bytes": float(resumed.bytes)}
        seconds = self.import_s + moved.seconds + (resumed.seconds if resumed else 0.0)
        self.events.say(Observation(kind="load", seconds=seconds, step=self.session.done, values=values))

    def _step(self, order: Iterator[Step], each: int) -> None:
        """One step, its data asked for inside its clock."""
        took = self.session.step(_batches(order))
        done = self.session.done
        values = {"loss": took.loss, "learning_rate": took.learning_rate, "memory_bytes": self.session.peak.bytes()}
        if took.device_s is not None:
            values["device_s"] = took.device_s
        self.events.say(
            Observation(kind="step", step=done, steps=1, seconds=took.seconds, wait_s=took.wait_s, rows=took.rows,
                        tokens=took.tokens, epoch=round(done / each, 6), values=values)
        )  # fmt: skip

    def _now_and_then(self, rows: Rows) -> None:
        """The evaluation and the checkpoint that are due after this step; one when the run is stopped, too."""
        done, evaluation, save = self.session.done, self.task.evaluation, self.task.save
        if evaluation is not None and done % evaluation.every_steps == 0 and not self.stop.asked:
            seen = self.session.evaluate(rows.held_out)
            self.events.say(
                Observation(kind="evaluation", step=done, seconds=seen.seconds, wait_s=seen.wait_s, rows=seen.rows,
                            tokens=seen.tokens, values={"loss": seen.loss})
            )  # fmt: skip
        if save is not None and self._folder is not None and (done % save.every_steps == 0 or self.stop.asked):
            self._say_moved("checkpoint", self.session.save(self._folder, save.keep))

        self._feel()

    def _feel(self) -> None:
        """Now and then what the GPU says of its heat, clock and power; a CPU says nothing."""
        from headway.worker.machine.facts import sensors

        now = time.perf_counter()
        if now - self.felt < FEELS_EVERY_S:
            return
        self.felt = now
        if values := sensors(self.session.device):
            self.events.say(Observation(kind="device", step=self.session.done, values=values))

    def _say_moved(self, kind: str, moved: Moved) -> None:
        values = {"bytes": float(moved.bytes), "check_s": moved.check_s}
        self.events.say(Observation(kind=kind, step=self.session.done, seconds=moved.seconds, values=values))


def _batches(order: Iterator[Step]) -> Iterator[MicroBatch]:
    """The next step's micro-batches, made when they are asked for."""
    yield from next(order)


def train(task: Task, stop: Stop) -> int:
    """Train `task` and say what happens; the exit code. Raises UserError before the first event."""
    session, import_s = prepare(task)
    events = Events(task.out, header_of(task, session), resume=task.resume, began=BEGAN)
    outcome, code = {"interrupted": 1.0}, INTERRUPTED
    try:
        Run(task=task, session=session, import_s=import_s, events=events, stop=stop).go()
        if not stop.asked:
            outcome, code = {}, OK
    except KeyboardInterrupt:
        pass
    except Exception as error:
        if isinstance(error, BrokenPipeError):
            raise
        outcome, code, words = _fault(error, session)
        _tell(words)
    events.say(Observation(kind="end", step=session.done, values=outcome))
    events.close()
    return code


def _fault(error: Exception, session: Session) -> tuple[dict[str, float], int, str]:
    """What the last event says of an error, the exit code, and the sentence for people."""
    from headway.worker.training.session import is_out_of_memory

    if is_out_of_memory(error):
        micro = session.task.batches.micro_batch
        return (
            {"out_of_memory": 1.0, "memory_bytes": float(session.peak.bytes())},
            OUT_OF_MEMORY,
            f"error: step {session.done + 1} must fit into memory, got out of memory with micro_batch {micro}. Use "
            "a smaller micro_batch, a smaller max_length, or checkpointing.",
        )
    if isinstance(error, UserError):
        return {"error": 1.0}, USAGE if isinstance(error, UsageError) else ERROR, f"error: {error}"
    words = " ".join(str(error).split())[:300]
    return {"error": 1.0}, ERROR, f"error: training stopped at step {session.done + 1}: {type(error).__name__}: {words}"


def main() -> int:
    """Train the task on standard input; events on standard output, on standard error what is wrong."""
    warnings.simplefilter("ignore")  # the libraries' own, for those who write code with them
    if sys.stdin.isatty():
        _tell("reading a task (headway.task/1) from standard input")
    stop = Stop()
    stop.listen()
    try:
        return train(read_task(sys.stdin.read()), stop)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # nobody reads, and there is no file: what is trained is for nobody
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ERROR
    except UserError as error:
        _tell(f"error: {error}")
        return USAGE if isinstance(error, UsageError) else ERROR
    except Exception as error:  # a library's own, while it is imported or reads a config that nobody thought of
        _tell(f"error: training could not begin: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
        return ERROR


if __name__ == "__main__":
    raise SystemExit(main())
