"""What a row says of memory: its peak, who saw it, and the longest rows, settings and software behind it.

Owns what peaks are read by beyond a row's timing; the recipe as timing reads it is `recipe`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from headway.domain.experiment import Batches, Lengths, Recipe
from headway.domain.software import Software
from headway.predict.peak.software import software_of
from headway.work.batches import collate
from reading.cells import Row, Unreadable, count, noted, number
from reading.machine import Spreading
from reading.recipe import recipe, rows_of

TRAINS_MORE = "(emb)"
_GB_ROWS = ("Lightning-AI/litgpt",)
"""Sources that divide bytes by 10^9; the others print GiB, most of them under the name of GB."""
_RESERVED = ("huggingface/peft", "unslothai/notebooks", "pytorch/torchtitan", "modelscope/ms-swift")
_ALLOCATED = ("Lightning-AI/litgpt", "public GitHub file, path not recorded (756)")
"""The second is a notebook that prints torch's own peak."""
_FMS = "foundation-model-stack/fms-acceleration"
_WIDE_TABLES = ("a100_80gb_liger.csv", "a100_80gb_moe.csv")
"""Its tables whose sharded full fine-tuning holds 20 bytes a parameter: accelerate casts trained shards to fp32 under
mixed precision (fms-0154: 37.41 GiB of Llama-3-8B on 4 GPUs); the others show 10 (fms-0014)."""
_LITGPT_DROPOUT = 0.05
"""`lora_dropout` of all its configurations."""
_SHORT_ROWS = 600.0
"""Longest of some 500 rows of Alpaca in a notebook's 60 steps; the whole set's longest has 1,300 (LitGPT's table)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Held:
    """A peak and all that it is predicted from, machine and model apart."""

    peak_bytes: float
    """Of one GPU."""
    seen_by: str
    """`allocated` or `reserved` by torch, or `device` (everything)."""
    recipe: Recipe
    batches: Batches
    software: Software


def peak_of(row: Row, gpus: int) -> tuple[float | None, str]:
    """Peak bytes of one GPU and who saw them. Qwen's multi-GPU rows add all GPUs up.

    Its "LoRA (emb)" rows train embedding and head too, for which a recipe has no word: their peaks are not judged.
    """
    value = number(row, "peak_mem_gb")
    if value is None or TRAINS_MORE in row["model"]:
        return None, ""
    if noted(row, r"memory is summed over GPUs"):
        value /= gpus
    if noted(row, r"nvidia-smi"):
        seen = "device"
    elif noted(row, r"max[ _](memory[ _])?allocated|peak is allocated") or row["source"] in _ALLOCATED:
        seen = "allocated"
    elif noted(row, r"reserved") or row["source"] in _RESERVED:
        seen = "reserved"
    else:
        seen = "device"
    return value * (1e9 if row["source"] in _GB_ROWS else 2.0**30), seen


def _cap(row: Row) -> float | None:
    found = noted(row, r"max_seq_length (\d+)")
    return count(row, "seq_len") or (float(found[1]) if found else None)


def _stated_longest(row: Row) -> float | None:
    """The longest row where every row has one length, or the source says it; a cap is reached by some row."""
    fixed = row.get("packing") == "yes" or noted(
        row, r"padded (?:length|to max_seq_length|to \d+)|padding=max_length|exact length known|no padding"
    )
    if fixed or noted(row, r"assuming inputs exactly fill seq_len"):
        return count(row, "seq_len")
    cap = _cap(row)
    if found := noted(row, r"longest (\d+) tokens"):
        return min(float(found[1]), cap or float(found[1]))
    if cap and noted(row, r"dataset \S*alpaca"):
        return min(cap, _SHORT_ROWS)
    return cap


def _mean(row: Row, micro: int) -> float | None:
    """Mean tokens of a row of data: counted, or what padding to the longest of `micro` rows leaves of it."""
    if found := noted(row, r"mean tokens counted per sample (\d+)"):
        mean: float | None = float(found[1])
    else:
        tokens, samples = number(row, "tokens_per_s"), number(row, "samples_per_s")
        mean = tokens / samples if tokens and samples else None
    if mean is None or not noted(row, r"counts padded input_ids"):
        return mean
    unit = Lengths(mean=100.0, mean_low=100.0, mean_high=100.0, source=row["source"])
    return mean / (collate(unit, rows=micro, micro_batch=micro).row_tokens / 100.0)


def _batches(row: Row, spread: Spreading) -> Batches:
    """Rows of one pass, all as long as the longest that the run meets.

    Without padding a pass is as long as its rows together: the longest beside average ones. Raises `Unreadable` where
    neither a length nor a cap is published.
    """
    if noted(row, r"smoke run"):
        raise Unreadable("a trial run on samples of unknown length")
    step = rows_of(row, spread)
    mean, cap = _mean(row, step.micro), _cap(row)
    longest = _stated_longest(row)
    counted = mean is not None and (longest is None or bool(noted(row, r"batch padded to longest")))
    if counted and mean is not None:
        lengths = Lengths(mean=mean, mean_low=mean, mean_high=mean, source=row["source"])
        found = collate(lengths, rows=max(1000 * step.per_step, 1), micro_batch=step.micro, max_length=None)
        longest = min(found.longest_row_tokens, cap or found.longest_row_tokens)
        if "padding-free" in row["framework"]:
            longest = mean + (longest - mean) / step.micro
    if longest is None:
        raise Unreadable("neither the longest row nor the mean length is published")
    lengths = Lengths(mean=longest, mean_low=longest, mean_high=longest, fixed=True, source=row["source"])
    replicas = max(1, spread.parallel.data // spread.context)
    whole = collate(lengths, rows=step.per_step, micro_batch=step.micro, grad_accum=step.steps, replicas=replicas)
    padded = bool(counted) and "padding-free" not in row["framework"]
    return replace(
        whole,
        longest_row_tokens=longest / spread.context,
        padding_share=0.5 if padded else 0.0,
    )


def _settings(row: Row, spread: Spreading, batches: Batches) -> Recipe:
    """The recipe, with what its timing does not need: checkpointing and wide weights that are a stack's habit."""
    base = Recipe(micro_batch=batches.micro_rows, grad_accum=batches.micro_steps)
    found = recipe(row, spread, base)
    unknown = (row.get("act_ckpt") or "unknown") == "unknown"
    if unknown and found.quantize in ("nf4", "int8"):  # `prepare_model_for_kbit_training` turns it on
        found = replace(found, gradient_checkpointing="full")
    wide = found.adapter is None and (row.get("source_path") or "").endswith(_WIDE_TABLES)
    if wide and found.parallel.sharding == "zero3":
        found = replace(found, master_weights=True)
    if "unsloth" in row["framework"].lower():  # kernels of its own, whatever is compiled
        half = found.precision == "fp16" and found.adapter is None  # whose gradients cannot be unscaled: fp32 weights
        found = replace(found, compile=False, master_weights=half)
    if found.adapter is not None and "litgpt" in row["framework"].lower():
        found = replace(found, adapter=replace(found.adapter, dropout=_LITGPT_DROPOUT))
    return found


def _words(row: Row) -> str:
    """Words of the stack. fms-acceleration's fused head is registered for Llama: Mistral's rows show no difference."""
    text = f"{row['framework']} {row.get('precision') or ''}"
    if row["source"] == _FMS and "llama" not in row["model"].lower():
        text = text.replace("liger", "")
    if "torchtitan" in text and row.get("compile") == "yes" and (row.get("date_or_version") or "") >= "2025":
        text += " compiled loss"  # torchtitan compiles its loss too since January 2025
    if "gemma-2" in row["model"].lower():
        text += " gemma-2"
    return text


def held(row: Row, spread: Spreading, gpus: int) -> Held:
    """What a row says of memory. Raises `Unreadable` where it has no peak or no length."""
    peak, seen = peak_of(row, gpus)
    if peak is None:
        raise Unreadable("no peak of memory")
    batches = _batches(row, spread)
    return Held(
        peak_bytes=peak,
        seen_by=seen,
        recipe=_settings(row, spread, batches),
        batches=batches,
        software=software_of(_words(row), row.get("parallelism") or ""),
    )
