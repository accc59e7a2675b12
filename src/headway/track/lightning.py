"""`headway.LightningCallback`: runs of Lightning's Trainer, under either of its names.

Owns what Lightning's hooks mean for a run. `lightning` or `pytorch_lightning` is imported here and nowhere else.
"""

from __future__ import annotations

import math
import sys
import time
from importlib import import_module
from typing import Any

from headway.domain.errors import MissingPackageError
from headway.track.asked import refuse_amounts
from headway.track.kept.promise import promised
from headway.track.meter import Meter
from headway.track.remaining import Course

PACKAGES = ("lightning.pytorch", "pytorch_lightning")


def _base() -> Any:
    """Lightning's Callback, of the package that the program already uses, else of the one that is installed."""
    for name in sorted(PACKAGES, key=lambda name: name not in sys.modules):
        try:
            return import_module(name).Callback
        except ImportError:
            continue
    raise MissingPackageError(
        "headway.LightningCallback needs Lightning", got="no such package",
        hint="pip install lightning; any other loop is tracked by headway.track(loader).",
    )  # fmt: skip


def _evaluates(trainer: Any, accumulate: int) -> float | None:
    """Optimizer steps between two evaluations, 0 without any; None where that is learnt (by time, or a loader without
    length).
    """
    if not getattr(trainer, "enable_validation", True):
        return 0.0
    batches, epochs = getattr(trainer, "val_check_batch", None), getattr(trainer, "check_val_every_n_epoch", None)
    if not isinstance(batches, int | float) or not 0 < batches < math.inf:
        return None
    in_epoch = trainer.num_training_batches
    if not in_epoch < math.inf:
        return float(batches / accumulate)
    steps = math.ceil(in_epoch / accumulate)  # the last batch of an epoch is a step, however few accumulated
    if epochs is None:
        return float(steps * batches / in_epoch)
    return float(steps * epochs / max(1, in_epoch // batches))


def _counts_batches(trainer: Any, module: Any) -> bool:
    """Whether a step is a batch: Lightning counts each call of an optimizer where the module makes them itself, but
    forecasts batches.
    """
    return not getattr(module, "automatic_optimization", True) and getattr(trainer, "max_steps", -1) in (-1, None)


class LightningCallback(_base()):  # type: ignore[misc]
    """Add it to a Trainer: `Trainer(..., callbacks=[headway.LightningCallback()])`.

    `plan`, `experiment` and `stage` name what was estimated, `price` is dollars per hour of everything.
    `run_dir` is the folder for events, instead of `.headway/runs/ID`; `quiet` prints nothing. Each `fit` is a run.
    Raises UsageError for a price that is none, and for a plan, experiment or stage that is not there.
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
        super().__init__()
        refuse_amounts(price=price)
        promised(plan, experiment, stage)  # refused now, not when model and data are loaded
        self._given: dict[str, Any] = {
            "plan": plan, "experiment": experiment, "stage": stage, "run_dir": run_dir, "quiet": quiet,
        }  # fmt: skip
        self._price = price
        self.meter: Meter | None = None
        self._asked = 0.0
        self._phase = ""
        """What goes on beside the steps: `evaluation`, or `checkpoint`, whose end has no hook of its own."""
        self._by_batch = False

    def on_train_start(self, trainer: Any, module: Any = None, *_: Any) -> None:
        """The run opens; the sanity check of the evaluation lies before it."""
        steps = trainer.estimated_stepping_batches
        known = isinstance(steps, int) and steps > 0
        accumulate = trainer.accumulate_grad_batches
        self._by_batch = _counts_batches(trainer, module)
        done = trainer.current_epoch * trainer.num_training_batches if self._by_batch else trainer.global_step
        course = Course(
            total_steps=steps if known else None,
            evaluate_every=_evaluates(trainer, accumulate),
            usd_per_hour=self._price,
        )
        self.meter = Meter(
            course,
            **self._given,
            step=int(done) if done < math.inf else 0,
            grad_accum=accumulate,
            gpus=trainer.num_devices * trainer.num_nodes,
            beside_bar=getattr(trainer, "progress_bar_callback", None) is not None,
        )
        self._asked = time.perf_counter()

    def on_train_batch_start(self, *_: Any) -> None:
        """A batch has come."""
        self._settle()
        if self.meter is not None:
            self.meter.waited(time.perf_counter() - self._asked)

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        """A batch is done, and a step with it where its gradients were the last to accumulate."""
        if self.meter is None:
            return
        goal = self.meter.step + 1 if self._by_batch else int(trainer.global_step)
        while self.meter.step < goal:
            self.meter.step_done(float(trainer.current_epoch))
        self._asked = time.perf_counter()

    def on_validation_start(self, *_: Any) -> None:
        """An evaluation begins."""
        self._settle()
        self._begin("evaluation")

    def on_validation_end(self, *_: Any) -> None:
        """An evaluation is over."""
        self._settle()

    def on_save_checkpoint(self, *_: Any) -> None:
        """A checkpoint begins to be written; the next hook of the loop is its end."""
        self._settle()
        self._begin("checkpoint")

    def on_train_end(self, *_: Any) -> None:
        """The run closes."""
        self._settle()
        if self.meter is not None:
            self.meter.finish()

    def _begin(self, kind: str) -> None:
        # After the end it is another's: `validate`, a save by hand, the sanity check of the next fit.
        if self.meter is not None and not self.meter.ended:
            self.meter.phase_begins()
            self._phase = kind

    def _settle(self) -> None:
        """The end of what goes on beside the steps, if anything does."""
        if self.meter is not None and self._phase:
            self.meter.phase_ends(self._phase)
            self._phase, self._asked = "", time.perf_counter()

    def on_exception(self, *_: Any) -> None:
        """The run closes, with what it did."""
        self.on_train_end()
