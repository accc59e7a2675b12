"""`headway.TrainerCallback`: runs of the Hugging Face Trainer (and of TRL, Axolotl, LLaMA-Factory, which build on it).

Owns what the Trainer's events mean for a run. transformers is imported here and nowhere else in the room.
"""

from __future__ import annotations

import atexit
import copy
import time
from typing import Any

from headway.domain.errors import MissingPackageError
from headway.track.asked import refuse_amounts
from headway.track.kept.promise import promised
from headway.track.meter import Meter
from headway.track.remaining import Course

try:
    from transformers import TrainerCallback as _Base
    from transformers.trainer_callback import DefaultFlowCallback, TrainerControl
except ImportError:
    raise MissingPackageError(
        "headway.TrainerCallback needs transformers", got="no such package",
        hint="pip install 'headway[train]'; any other loop is tracked by headway.track(loader).",
    ) from None  # fmt: skip

PAUSE_S = 60.0
"""An evaluation that begins so long after the step before it was asked for by somebody."""


class TrainerCallback(_Base):  # type: ignore[misc,unused-ignore]
    """Add it to a Trainer: `Trainer(..., callbacks=[headway.TrainerCallback()])`.

    `plan`, `experiment` and `stage` name what was estimated, `price` is dollars per hour of everything.
    `run_dir` is the folder for events, instead of `.headway/runs/ID`; `quiet` prints nothing. Tokens are
    counted where the arguments say `include_num_input_tokens_seen`. A run that goes on from a checkpoint is an attempt
    of its own: steps done before are done, not fast. Raises UsageError for a price that is none, and for a plan,
    experiment or stage that is not there.
    """

    def __init__(
        self,
        *,
        plan: str = "",
        experiment: str = "",
        stage: str = "",
        price: float | None = None,
        run_dir: str | None = None,
        quiet: bool = False,
    ) -> None:
        refuse_amounts(price=price)
        promised(plan, experiment, stage)  # refused now, not when model and data are loaded
        self._given: dict[str, Any] = {
            "plan": plan, "experiment": experiment, "stage": stage, "run_dir": run_dir, "quiet": quiet,
        }  # fmt: skip
        self._price = price
        self.meter: Meter | None = None
        self._last = 0.0
        """When the last step, evaluation or save was over: they follow each other without a hook at their begin."""
        self._tokens_seen = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The run, or an attempt of it, opens; one that was interrupted, which no hook tells, is closed."""
        self._close()
        atexit.register(self._close)
        course = Course(
            total_steps=state.max_steps if state.max_steps > 0 else None,
            evaluate_every=_every(_word(args.eval_strategy), state.eval_steps, state, args),
            save_every=_every(_word(args.save_strategy), state.save_steps, state, args),
            round_at_end=_after_the_last(args, state),
            usd_per_hour=self._price,
        )
        self._tokens_seen = int(state.num_input_tokens_seen or 0)
        self.meter = Meter(
            course,
            **self._given,
            step=int(state.global_step),
            micro_batch=args.per_device_train_batch_size,
            grad_accum=args.gradient_accumulation_steps,
            gpus=getattr(args, "world_size", 1),
            device=_device(args),
            beside_bar=not args.disable_tqdm,
        )
        self._last = time.perf_counter()

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The batches of a step have come: the Trainer fetches all its micro-batches before."""
        if self.meter is not None:
            self.meter.waited(time.perf_counter() - self._last)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """An optimizer step is over, all its micro-batches with it."""
        if self.meter is None:
            return
        seen = int(state.num_input_tokens_seen or 0)
        self.meter.batch(tokens=seen - self._tokens_seen)
        self._tokens_seen = seen
        self.meter.step_done(state.epoch)
        self._last = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """A row of the training was logged: that is no waiting for data. Rows of an evaluation come before its end."""
        if "loss" in (logs or {}):
            self._last = time.perf_counter()

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:
        """An evaluation is over; it began when what came before was over, after the training when its runtime says.

        So too after a pause that is longer than itself: a training was interrupted, which no hook tells.
        """
        runtimes = [value for name, value in (metrics or {}).items() if name.endswith("_runtime")]
        began, runtime_s = time.perf_counter(), float(runtimes[0] if runtimes else 0.0)
        began -= runtime_s
        if self.meter is not None and runtimes and began - self._last > max(runtime_s, PAUSE_S):
            self.meter.finish(self._last)
        if self.meter is not None and self.meter.ended:
            self._last = began
        self._was("evaluation")

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A checkpoint is written."""
        self._was("checkpoint")

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The run closes."""
        self._last = time.perf_counter()
        self._close()

    def _close(self) -> None:
        """The run ends where its last step, evaluation or save was over."""
        atexit.unregister(self._close)
        if self.meter is not None:
            self.meter.finish(self._last)

    def _was(self, kind: str) -> None:
        if self.meter is not None:
            self.meter.phase_begins(self._last)
            self.meter.phase_ends(kind)
            self._last = time.perf_counter()


def _device(args: Any) -> str:
    """The device's name as its driver says it; `cpu`, or what else torch calls it."""
    device = getattr(args, "device", None)
    if device is not None and device.type == "cuda":
        import torch

        return str(torch.cuda.get_device_name(device))
    return "" if device is None else str(device.type)


def _word(strategy: Any) -> str:
    return str(getattr(strategy, "value", strategy))


def _every(strategy: str, steps: float, state: Any, args: Any) -> float | None:
    """Optimizer steps between two rounds of a strategy; None where that is learnt (`best`)."""
    if strategy == "no":
        return 0.0
    if strategy == "steps":
        return float(steps)
    epochs = state.num_train_epochs
    # Of a data set without a length the Trainer says that its epochs are as many as a number can be.
    return state.max_steps / epochs if strategy == "epoch" and 0 < epochs <= state.max_steps else None


def _after_the_last(args: Any, state: Any) -> frozenset[str]:
    """What follows the last step whether its interval ends there or not: as this transformers' own flow answers.

    Saves always have; evaluations since transformers 5.
    """
    last = copy.copy(state)
    last.global_step = last.max_steps
    said = DefaultFlowCallback().on_step_end(args, last, TrainerControl())
    found = {"evaluation": said.should_evaluate, "checkpoint": said.should_save}
    return frozenset(term for term, does in found.items() if does)
