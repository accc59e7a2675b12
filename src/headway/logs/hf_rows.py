"""Rows of the Hugging Face Trainer, wherever they are printed or kept: what each one says, and the times they imply.

Owns `loss`, `eval_*` and `train_runtime` rows (Trainer 4 and 5, TRL, ms-swift, LLaMA-Factory, Axolotl); where the rows
stand is the business of the formats. Source of the keys: `transformers/trainer.py` (`_maybe_log_save_evaluate`,
`evaluate`), `trainer_utils.py: speed_metrics`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from headway.domain.observation import Observation
from headway.logs.forms.epochs import Epochs
from headway.logs.forms.line import Line
from headway.logs.history import evaluations_s, last_start, timed_stems
from headway.logs.repair import settled
from headway.logs.text import duration_s, finite, number, whole

STEP_KEYS: Final = ("step", "global_step", "train/global_step", "current_steps", "num_updates", "iteration", "iter")
LOSS_KEYS: Final = (
    "loss",
    "train_loss",
    "train/loss",
    "lm_loss",
    "lm loss",
    "reward",
)
RATE_KEYS: Final = ("learning_rate", "lr", "grad_norm")
"""Of a row only beside a step or an epoch: alone they are settings that were printed."""
ELAPSED_KEYS: Final = ("elapsed_time", "elapsed", "elapsed_s", "_runtime", "time_elapsed", "total_time")
ITERATION_KEYS: Final = frozenset(("mode", "epoch", "iter"))
"""Of each row of mmcv's `*.log.json`; its mode is `train` or `val` (mmcv/runner/hooks/logger/text.py)."""
DETECTRON2: Final = frozenset(("total_loss", "eta_seconds"))
"""Beside the `iteration` of its rows, which is counted from 0 (detectron2/utils/events.py: `JSONWriter`)."""
DETECTED: Final = re.compile(
    r"(?:bbox|segm|keypoints|sem_seg|panoptic_seg|box_proposals)/(?:AP|AR|ACC|IoU|mIoU|fwIoU|mACC|pACC|PQ|SQ|RQ)"
)
"""What an evaluation of Detectron2 tells, of which task."""
FAIRSEQ: Final = {"num_updates": "wall"}
"""Its row counts updates, and seconds since the start beside them (fairseq/logging/progress_bar.py)."""
CLOCK_KEYS: Final = ("timestamp", "_timestamp", "time", "wall_time")
MEMORY_KEYS: Final = (
    "memory(GiB)",
    "memory/max_active (GiB)",
    "memory/max_mem_active(gib)",
    "memory/max_memory_active",
)
EARLIEST_CLOCK: Final = 1e9
"""Seconds since 1970 of September 2001: a smaller number is no moment."""
FACTS: Final = {
    "train_runtime": "train_runtime_s",
    "train_samples_per_second": "train_samples_per_s",
    "train_steps_per_second": "train_steps_per_s",
    "train_tokens_per_second": "train_tokens_per_s",
    "total_flos": "total_flop",
    "train_loss": "train_loss",
    "train_samples": "train_rows",
}
IDLE_S: Final = 60.0
"""A training that took less and says a mean loss of exactly 0 had nothing left to do."""
OTHER: Final = frozenset(
    (
        "epoch",
        "train/epoch",
        "percentage",
        "train_runtime",
        "num_input_tokens_seen",
        *STEP_KEYS,
        *ELAPSED_KEYS,
        *MEMORY_KEYS,
        *FAIRSEQ.values(),
    )
)
"""Keys whose numbers have a place of their own in an observation."""


def first(row: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The first of `names` that the row has a value for."""
    return next((row[name] for name in names if row.get(name) is not None), None)


class Rows:
    """Reads rows in order; knows what only several of them say together."""

    def __init__(self) -> None:
        self.facts: dict[str, float | str] = {}
        self.total_steps: int | None = None
        self._tokens: dict[int, float] = {}
        self._most_loss: float | None = None
        self._epochs, self._iteration, self._step = Epochs(), 0, 0
        self._from_0: bool | None = None
        self._paced: dict[int, tuple[int, int]] = {}

    def observe(
        self, row: Mapping[str, Any], *, step: int | None = None, at_s: float | None = None, rank: int = 0
    ) -> list[Observation]:
        """What a row says, none where it says nothing of training; `step` and `at_s` where the row has none itself."""
        mode = str(row.get("mode")) if row.keys() >= ITERATION_KEYS else ""
        found = self._counted(row, mode) if mode in ("train", "val") else self._said(row)
        step = self._of_total(row) or (found if found is not None else step)
        evaluated, trained = split(row)
        epoch = finite(str(first(row, ("epoch", "train/epoch"))).partition("/")[0])
        seen: list[Observation] = []
        if mode == "val":
            return [self._evaluation(row, step, epoch, at_s, rank)]
        if is_end(row):
            if not nothing_left(row, self._most_loss):
                self._finish(row)
            values = {"train_loss": loss} if (loss := number(row.get("train_loss"))) is not None else {}
            return [Observation(kind="end", at_s=at_s, step=step, epoch=epoch, values=values, rank=rank)]
        if (loss := finite(row.get("loss"))) is not None:
            self._most_loss = max(loss, self._most_loss or 0.0)
        if any(trained.get(key) is not None for key in LOSS_KEYS) or (
            any(trained.get(key) is not None for key in RATE_KEYS) and any(key in row for key in (*STEP_KEYS, "epoch"))
        ):
            seen.append(
                Observation(
                    kind="step",
                    at_s=at_s,
                    seconds=self._seconds(row, step, rank),
                    step=step,
                    epoch=epoch,
                    tokens=self.new_tokens(row, rank),
                    values=values_of(trained),
                    rank=rank,
                )
            )
        if evaluated:
            seen.append(self._evaluation(evaluated, step, epoch, at_s, rank))
        return seen

    def _said(self, row: Mapping[str, Any]) -> int | None:
        """The step of a row; Detectron2 tells the iteration that it is in, after its last one how many there were."""
        count = whole(first(row, STEP_KEYS))
        if count is None or "iteration" not in row or "step" in row:
            return count
        evaluated = any(map(DETECTED.match, row))
        if not evaluated and not DETECTRON2 & row.keys():
            return count
        if self._from_0 is None:
            # It writes after each 20, or as many as are set; others that count in tens do so from 1.
            self._from_0 = count % 5 == 4
        if not self._from_0 or (evaluated and count == self._step):
            return count
        self._step = count + 1
        return self._step

    def _counted(self, row: Mapping[str, Any], mode: str) -> int | None:
        """The step of a row of OpenMMLab, whose iterations may begin again with each epoch.

        What an evaluation says beside is how many batches it had itself.
        """
        count, epoch = whole(row["iter"]), whole(row["epoch"])
        if mode == "val" or count is None:
            return self._step
        again = count == self._iteration
        line = self._epochs.through(Line(kind="step", step=count, epoch=epoch, per_epoch=again))
        self._iteration, self._step = count, line.step if line is not None else count
        return self._step

    def _seconds(self, row: Mapping[str, Any], step: int | None, rank: int) -> float | None:
        """Seconds of the steps since the row before, where a row has those of one, as OpenMMLab's and Detectron2's."""
        if step is None:
            return None
        before, stride = self._paced.get(rank, (0, 1))
        steps = step - before if step >= before else stride
        self._paced[rank] = (step, steps or stride)
        each_s = finite(row.get("time")) if "data_time" in row or row.keys() >= ITERATION_KEYS else None
        return finite(each_s * steps) if each_s is not None and 0 <= each_s < EARLIEST_CLOCK and steps else None

    def _evaluation(
        self, row: Mapping[str, Any], step: int | None, epoch: float | None, at_s: float | None, rank: int
    ) -> Observation:
        seconds, rows = _took(row)
        return Observation(
            kind="evaluation",
            at_s=at_s,
            seconds=seconds,
            step=step,
            epoch=epoch,
            rows=rows,
            values=values_of(row),
            rank=rank,
        )

    def _finish(self, row: Mapping[str, Any]) -> None:
        """Facts of the last row of a training."""
        self.facts |= final_facts(row)

    def _of_total(self, row: Mapping[str, Any]) -> int | None:
        """The step of ms-swift's `global_step/max_steps` and of `total_steps` beside a step."""
        total = whole(first(row, ("total_steps", "max_steps")))
        step, _, most = str(row.get("global_step/max_steps", "")).partition("/")
        total = total or whole(most)
        if total is not None and total > 0:
            self.total_steps = total
        return whole(step)

    def new_tokens(self, row: Mapping[str, Any], rank: int) -> float | None:
        """Tokens since the row before, where rows count those seen so far."""
        seen = finite(first(row, ("num_input_tokens_seen", "num_tokens", "total_tokens")))
        if not seen:
            return None
        before, self._tokens[rank] = self._tokens.get(rank, 0.0), seen
        return seen - before if seen >= before else None


def _took(row: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Seconds and rows of an evaluation, of all the sets that its row tells of."""
    if not (stems := timed_stems(row)):
        return next((finite(value) for key, value in row.items() if key.endswith("_runtime")), None), None
    told = [(finite(row[f"{stem}_runtime"]), finite(row[f"{stem}_samples_per_second"])) for stem in stems]
    known_s = [seconds for seconds, _ in told if seconds is not None]
    counts = [finite(seconds * rate) for seconds, rate in told if seconds is not None and rate is not None]
    rows = [float(round(count)) for count in counts if count is not None]
    return finite(sum(known_s)) if known_s else None, sum(rows) if len(rows) == len(stems) else None


def final_facts(row: Mapping[str, Any]) -> dict[str, float]:
    """The facts among what a Trainer says once, at the end of a run."""
    found = {fact: value for key, fact in FACTS.items() if (value := finite(row.get(key))) is not None}
    if found.get("train_steps_per_s") is None and "train_samples_per_s" in found:
        found["train_steps_per_s"] = found.pop("train_samples_per_s")  # see `steps_done`
    if not found.get("total_flop"):
        found.pop("total_flop", None)  # where the Trainer counts none, it says 0
    return found


def is_end(row: Mapping[str, Any]) -> bool:
    """Whether a row closes a training; where tokens are counted, every row has the runtime so far."""
    return "train_runtime" in row and "loss" not in row


def nothing_left(row: Mapping[str, Any], most_loss: float | None) -> bool:
    """Whether the training that a last row closes had no step left to do, as after a resume from its last checkpoint.

    `most_loss` is the largest loss that was logged before; without any, only a training of seconds is taken for one.
    """
    if number(row.get("train_loss")) != 0.0:
        return False
    runtime_s = finite(row.get("train_runtime")) or 0.0
    return most_loss > 0 if most_loss is not None else runtime_s < IDLE_S


def split(row: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keys of a row that are of an evaluation, and the others."""
    marks = ("eval_", "eval/", "test_", "predict_", "val_", "valid_", "validation_")
    evaluated = {key: value for key, value in row.items() if key.startswith(marks) or DETECTED.match(key)}
    trained = {key: value for key, value in row.items() if key not in evaluated}
    # Older LLaMA-Factory writes every key into every row, null where it says nothing.
    return {key: value for key, value in evaluated.items() if value is not None}, trained


def values_of(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a row that have no other place, under one name for the learning rate and for memory."""
    names = {"lr": "learning_rate"}
    values = {
        names.get(key, key): found
        for key, value in row.items()
        if key not in OTHER and (found := number(value)) is not None
    }
    if (gib := finite(first(row, MEMORY_KEYS))) is not None:
        values["memory_bytes"] = gib * 2**30
    return values


def moment_of(row: Mapping[str, Any]) -> tuple[str, float] | None:
    """The clock that a row shows and what it shows, in seconds: `elapsed` since the start, `clock` since 1970."""
    own = [elapsed for counted, elapsed in FAIRSEQ.items() if counted in row]
    for key in (*ELAPSED_KEYS, *own, "train_runtime") if "loss" in row else ELAPSED_KEYS:
        if (elapsed := duration_s(row.get(key))) is not None:
            return "elapsed", elapsed
    for key in CLOCK_KEYS:
        if (moment := finite(row.get(key))) is not None and moment > EARLIEST_CLOCK:
            return "clock", moment / 1_000.0 if moment > 1e12 else moment
    return None


def with_steps_of_epochs(
    observations: Sequence[Observation],
    ends: Sequence[Mapping[str, Any]],
    total: int | None,
    epochs: float | None,
    problems: list[str],
) -> tuple[Observation, ...]:
    """Rows that say no step, as a Trainer without bars prints them, with the steps that their epochs amount to.

    The steps of an epoch are told by the banner, else by the runtime and the rate of the last row.
    """
    if any(item.step is not None for item in observations) or not any(item.kind == "step" for item in observations):
        return tuple(observations)
    last = max((item.epoch for item in observations if item.epoch), default=None)
    done = steps_done(ends[-1]) if len(ends) == 1 else None
    if total and epochs:
        per_epoch = total / epochs
    elif done and last and done[1] <= 0.02 * done[0]:
        per_epoch = done[0] / last
    else:
        return tuple(observations)
    problems.append(f"rows without steps: counted from their epochs, about {per_epoch:,.0f} steps each")
    placed = [replace(item, step=round(item.epoch * per_epoch)) if item.epoch else item for item in observations]
    return settled(placed, problems)


def with_mean_steps(
    observations: Sequence[Observation], ends: Sequence[Mapping[str, Any]], problems: list[str]
) -> tuple[Observation, ...]:
    """Steps with the mean time of one, of a log whose only time of training is that of the whole (`train_runtime`).

    What the evaluations within it took is taken off, saves are in it. `ends` are the last rows in order. After a
    resume the runtime is of the last start alone; how many steps that did is read off their rate, and where that is
    of all steps (older Trainers) off `train_loss`, which is summed over its own steps and divided by all.
    """
    if any(item.seconds is not None for item in observations if item.kind == "step"):
        return tuple(observations)
    if not any(finite(row.get("train_runtime")) for row in ends):
        if any(item.kind == "step" for item in observations):
            problems.append("no times of steps: the file has no train_runtime yet, and its rows have no moments")
        return tuple(observations)
    losses = [
        loss for item in observations if item.kind == "step" and (loss := finite(item.values.get("loss"))) is not None
    ]
    found: list[Observation] = []
    start = 0
    places = [at for at, item in enumerate(observations) if item.kind == "end"]
    for place, row in zip(places, ends, strict=False):
        part = observations[start : place + 1]
        if nothing_left(row, max(losses, default=None)):
            problems.append("resumed with nothing left to do: train_runtime is of no step, and says nothing of any")
            found += part
        else:
            found += _timed(part, row, problems)
        start = place + 1
    return (*found, *observations[start:])


def _timed(part: Sequence[Observation], said: Mapping[str, Any], problems: list[str]) -> list[Observation]:
    """One training's observations, the last of them its `end`, with times; `said` is the row of that."""
    runtime_s = finite(said.get("train_runtime")) or 0.0
    rows = [item for item in part if item.kind == "step" and item.steps]
    last, end = (rows[-1].step or 0) if rows else 0, part[-1]
    whole_part = list(part)
    if end.step is not None and end.step > last:
        # Steps after the last logged one.
        more = Observation(kind="step", step=end.step, steps=end.step - last, attempt=end.attempt, rank=end.rank)
        whole_part.insert(-1, more)
        rows.append(more)
    if not rows:
        return whole_part
    first_own, resumed = last_start(part, rows, steps_done(said)) or (0, None)
    steps = sum(item.steps or 0 for item in rows[first_own:])
    if resumed is not None:
        problems.append(
            f"resumed: train_runtime is of the last start, which did about {steps} of {rows[-1].step} steps"
        )
    evaluated_s = evaluations_s(part, resumed)
    left_s = runtime_s - evaluated_s
    if left_s <= 0:
        problems.append(f"evaluations took {evaluated_s:,.0f} s of a training of {runtime_s:,.0f} s: no step times")
        return whole_part
    own = {id(item) for item in rows[first_own:]}
    return [
        replace(item, seconds=left_s * (item.steps or 0) / steps) if id(item) in own else item for item in whole_part
    ]


def steps_done(row: Mapping[str, Any]) -> tuple[float, float] | None:
    """Steps that a last row's runtime and rate say, and the doubt that the rate's three digits leave.

    Trainers before version 5 take the rate of all steps that were meant (`num_steps=self.state.max_steps`), however
    many were done. Those up to 4.6 name the rate of steps that of samples; later ones write both
    (https://github.com/huggingface/transformers/pull/11818).
    """
    said = first(row, ("train_steps_per_second", "train_samples_per_second"))
    runtime_s, rate = finite(row.get("train_runtime")), finite(said)
    steps = finite(runtime_s * rate) if runtime_s and rate else None
    return (steps, (runtime_s or 0.0) * 0.0005 + 1.0) if steps is not None else None
