"""`headway.track(loader, ...)`: any training loop, measured where it stands.

Owns the iteration. Times are the host's: a device that works ahead of it evens out over steps.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Generic, Self, TypeVar

from headway.track.asked import refuse_amounts, refuse_counts
from headway.track.meter import Meter
from headway.track.remaining import Course, Left

Batch = TypeVar("Batch")


class Tracked(Generic[Batch]):
    """The batches of a loader, `epochs` times over; what comes between two of them is measured.

    `accumulate` micro-batches are one optimizer step, counted through the whole run; `steps` ends the run at that step
    (None: when the epochs are over), counted with those of `start_step`, which an earlier process did. Where `epochs`
    are several, samplers and data sets that shuffle by epoch are told each one (`set_epoch`), as the loop that this
    one replaces would. `tokens(batch)` counts tokens, padding included. `plan` is a plan file: its newest estimate
    under the best rates completes what is not known, beside it events and the run's record are kept; `experiment` and
    `stage` are names in it. `price` is dollars per hour of everything. `evaluate_every` and `save_every` are optimizer
    steps; where they are not given they are learnt. `run_dir` is the folder for events, instead of `.headway/runs/ID`;
    `quiet` prints nothing. An object that is iterated again goes on with the same run. Raises UsageError for counts
    below 1.
    """

    def __init__(
        self,
        loader: Iterable[Batch],
        *,
        epochs: int = 1,
        steps: int | None = None,
        accumulate: int = 1,
        tokens: Callable[[Batch], float] | None = None,
        plan: str | os.PathLike[str] = "",
        experiment: str = "",
        stage: str = "",
        price: float | None = None,
        evaluate_every: float | None = None,
        save_every: float | None = None,
        start_step: int = 0,
        run_dir: str | os.PathLike[str] | None = None,
        quiet: bool = False,
    ) -> None:
        refuse_counts(epochs=epochs, accumulate=accumulate, steps=1 if steps is None else steps)
        refuse_amounts(price=price, evaluate_every=evaluate_every, save_every=save_every, start_step=start_step)
        self._loader, self._epochs, self._steps, self._accumulate = loader, epochs, steps, accumulate
        self._count_tokens, self._micro = tokens, 0
        length = _length(loader)
        known = None if length is None else start_step + max(1, length * epochs // accumulate)
        total = known if steps is None else min(steps, known or steps)
        self._batches = None if length is None else length * epochs
        self._per_epoch = length
        self.epoch = self._first_epoch = start_step * accumulate // length if length else 0
        """The epoch in progress, counted from 0 and with those of earlier processes."""
        course = Course(total_steps=total, usd_per_hour=price, evaluate_every=evaluate_every, save_every=save_every)
        self.meter = Meter(
            course,
            plan=os.fspath(plan),
            experiment=experiment,
            stage=stage,
            run_dir=run_dir,
            quiet=quiet,
            step=start_step,
            grad_accum=accumulate,
        )

    def __len__(self) -> int:
        """Batches, where the loader knows its own."""
        if self._batches is None:
            raise TypeError("the loader has no length")
        return self._batches

    def __iter__(self) -> Iterator[Batch]:
        """Every batch; at the end, at a break and at an exception the run is closed."""
        self._again()
        try:
            for number in range(self._epochs):
                if self._steps is not None and self.meter.step >= self._steps:
                    return
                self.epoch = self._first_epoch + number
                if self._epochs > 1:
                    _set_epoch(self._loader, self.epoch)
                yield from self._batches_of(self.epoch)
        finally:
            self.meter.finish()

    def _again(self) -> None:
        """The run goes on; what was done before, by a pass that was interrupted too, is no part of a further one."""
        self.meter.resume()
        if not self.meter.remaining.done:
            return
        self._first_epoch = self.epoch + 1
        if self._batches is not None:
            self.meter.goes_to(self._steps or self.meter.step + max(1, self._batches // self._accumulate))

    def _batches_of(self, epoch: int) -> Iterator[Batch]:
        now, meter, count_tokens = time.perf_counter, self.meter, self._count_tokens
        accumulate, per_epoch, last = self._accumulate, self._per_epoch, self._steps
        asked = now()
        for seen, batch in enumerate(self._loader, start=1):
            meter.waited(now() - asked)
            if count_tokens is not None:
                meter.batch(tokens=float(count_tokens(batch)))  # a tensor, as a rule, which JSON has not
            yield batch
            self._micro += 1
            if self._micro % accumulate == 0:
                meter.step_done(epoch + seen / per_epoch if per_epoch else None)
                if last is not None and meter.step >= last:
                    return
            asked = now()
        meter.waited(now() - asked)

    def evaluation(self) -> AbstractContextManager[None]:
        """`with tracked.evaluation(): ...`: an evaluation, apart from the steps."""
        return self.meter.phase("evaluation")

    def saving(self, *, final: bool = False) -> AbstractContextManager[None]:
        """`with tracked.saving(): ...`: a checkpoint, or the final save."""
        return self.meter.phase("final_save" if final else "checkpoint")

    def loading(self) -> AbstractContextManager[None]:
        """`with tracked.loading(): ...`: a model being loaded."""
        return self.meter.phase("load")

    def left(self) -> Left:
        """What is left now: seconds and money."""
        return self.meter.left()

    @property
    def run(self) -> str:
        """Id of the run for `headway verify`, and without `run_dir` for `headway watch`; empty: nothing is written."""
        return "" if self.meter.journal is None else self.meter.journal.run

    def __enter__(self) -> Self:
        """The loop itself; at the end of the block the run is closed."""
        return self

    def __exit__(self, *_: Any) -> None:
        """Close the run."""
        self.meter.finish()


def _set_epoch(loader: Any, epoch: int) -> None:
    """Tell what shuffles by epoch which one comes: a loader that tells its own parts, else its sampler and data set."""
    if hasattr(loader, "set_epoch"):
        loader.set_epoch(epoch)
        return
    batches = getattr(loader, "batch_sampler", None)
    parts: list[Any] = [getattr(loader, name, None) for name in ("sampler", "dataset")]
    parts += [batches, getattr(batches, "sampler", None)]
    for part in {id(part): part for part in parts if hasattr(part, "set_epoch")}.values():
        part.set_epoch(epoch)


def _length(loader: Iterable[Any]) -> int | None:
    """Batches of one epoch; None where the loader does not know, or knows no number."""
    try:
        length = len(loader)  # type: ignore[arg-type]
    except (TypeError, NotImplementedError, AttributeError):  # what loaders without a length raise, torch's among them
        return None
    return length if isinstance(length, int) and math.isfinite(length) and length > 0 else None
