"""The recipe and the batches of a row.

Owns precision names, adapter targets, kernels and lengths as sources write them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from headway.domain.experiment import Adapter, Batches, Lengths, Recipe
from headway.work.batches import collate
from reading.cells import Row, Unreadable, count, noted, number
from reading.machine import Spreading

_MASTERS = re.compile(r"megatron|nemo|deepspeed|foundry|internevo|torchtitan|languini|dle|bert|modded|nanogpt", re.I)
"""Stacks that keep fp32 weights beside 16-bit ones: Megatron and DeepSpeed optimizers, torch autocast, FSDP with a
16-bit compute dtype. fms-acceleration trains pure 16-bit weights (its notes)."""
_RANK = 16
"""Rank where an adapter's is not stated: NeMo's and most trainers' examples."""
_WEIGHTS = (("int8", "int8"), ("gptq", "nf4"), ("awq", "nf4"), ("nf4", "nf4"), ("int4", "nf4"))
"""Frozen weights: 4-bit GPTQ has the size of nf4, and kernels of its own (see `Case.stated_precision`)."""
_RECOMPUTES = re.compile(r"unsloth|swift|llama-?factory|xtuner", re.I)
"""Trainers that checkpoint activations unless told not to; so does PEFT's preparation of quantised models
(`prepare_model_for_kbit_training`, `use_gradient_checkpointing=True`), which every QLoRA recipe calls."""
_WITHIN_DOCUMENTS = re.compile(r"swift|nemo|megatron-bridge|padding-free|multipack|varlen", re.I)
"""Trainers whose packed rows of fine-tuning data attend within documents only: ms-swift packs "padding-free" (its
command-line documentation, `packing`), NeMo by cumulated lengths (its guide, "sequence packing"), plugins by their
names. MLPerf's rows are cut out of one long text."""
_DOCUMENTS = 4
"""Documents of a packed row where their lengths are not published: rows are chosen longer for longer data."""
_PASS_TOKENS = 8192
"""Tokens of a pass where no batch is stated: what benchmarks fill a card with, rather than a single short row."""
_METHODS = {"dora": "dora", "rslora": "rslora"}
_PLAIN_PEFT = ("LORA", "FULL")


def precision(row: Row) -> tuple[str, str]:
    """Compute dtype and quantisation of frozen weights. NVFP4 is read as fp8, an empty cell as bf16."""
    unstated = (
        "fp8" if row["source"].startswith("mlcommons") else "bf16"
    )  # what all MLPerf LoRA entries that say it use
    text = (row.get("precision") or unstated).lower()
    quantised = next((kind for word, kind in _WEIGHTS if word in text), "none")
    dtype = next((one for one in ("bf16", "fp16", "tf32", "fp32") if one in text.split("+")[-1]), "")
    if "fp8" in text or "fp4" in text:
        dtype = "fp8"
    return dtype or "bf16", quantised if row["task"] in ("lora", "qlora") else "none"


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[a-z_0-9]+", text.lower()))


_LETTERS = {"query": "q", "key": "k", "value": "v", "projection": "o"}
_LISTED = r"(?:[qkvo]|query|key|value|projection|mlp|head)"


def _targets(row: Row) -> tuple[str, ...]:
    """Adapter targets as the notes write them (`targets ['q_proj', ...]`, `LoRA on query,value`), else the stack's.

    Defaults: attention in NeMo and MLPerf, every linear layer in Unsloth, queries and values in PEFT.
    """
    if found := noted(row, r"targets \[([^\]]+)\]"):
        return tuple(word for word in _words(found[1]) if word.endswith("_proj")) or ("q", "v")
    if found := noted(row, rf"\b(?:targets|lora on|r=\d+ on) ({_LISTED}(?:\s*,\s*{_LISTED})*)\b"):
        return tuple(_LETTERS.get(word, word) for word in _words(found[1]))
    if noted(row, r"all[- ]linear|c_attn,c_proj,w1,w2"):
        return ("all-linear",)
    if re.search(r"nemo|megatron", row["framework"], re.I) or row["source"].startswith("mlcommons"):
        return ("q", "k", "v", "o")
    return ("all-linear",) if "unsloth" in row["framework"].lower() else ("q", "v")


def _adapter(row: Row) -> Adapter | None:
    """The low-rank adapter of a row; other kinds of adapters (PEFT's 40 methods) are refused."""
    if row["task"] not in ("lora", "qlora"):
        return None
    if (found := noted(row, r"peft_type (\w+)")) and found[1] not in _PLAIN_PEFT:
        raise Unreadable("an adapter that is not low-rank, or not LoRA's kind (PEFT)")
    if re.search(r"finetune_adapter", row["framework"]):
        raise Unreadable("an adapter that is not low-rank, or not LoRA's kind (LLaMA-Adapter)")
    method = next((kind for word, kind in _METHODS.items() if word in row["model"].lower()), "lora")
    return Adapter(method=method, rank=count(row, "lora_rank") or _RANK, targets=_targets(row))


def _attention(row: Row) -> str:
    if noted(row, r"FlexAttention"):
        return "flex"
    if noted(row, r"\bsdpa\b"):
        return "sdpa"
    return {"yes": "flash", "no": "eager"}.get(row.get("flash_attn") or "", "sdpa")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows of one optimizer step on one replica."""

    micro: int
    steps: int
    per_step: int
    """Rows of the whole job."""


def batch_stated(row: Row) -> bool:
    """Whether a batch or a micro-batch is stated, or the time of a step that gives it."""
    return any(number(row, name) for name in ("global_batch", "micro_batch", "step_time_s"))


def rows_of(row: Row, spread: Spreading) -> Rows:
    """Micro-batch and micro-steps, made whole: whatever two of batch, micro-batch and accumulation leave open.

    In a pipeline without stated accumulation, the micro-batch of torchtitan is what the schedule cuts into single rows.
    A step's time and rows per second give the batch where nothing else does.
    """
    replicas = max(1, spread.parallel.data // spread.context)
    batch, micro, steps = count(row, "global_batch"), count(row, "micro_batch"), count(row, "grad_accum")
    if spread.parallel.pipeline > 1 and steps is None and "torchtitan" in row["framework"] and micro:
        micro, steps = 1, micro
    if batch is None and steps is None and not _fixed(row):
        rows = (number(row, "samples_per_s") or 0.0) * (number(row, "step_time_s") or 0.0)
        batch = round(rows) or None
    if not batch_stated(row):
        micro = max(1, round(_PASS_TOKENS / (count(row, "seq_len") or _PASS_TOKENS)))
    if batch is None:
        micro, steps = micro or 1, steps or 1
        return Rows(micro=micro, steps=steps, per_step=micro * steps * replicas)
    share = max(1, round(batch / replicas))
    if micro is None:
        micro = max(1, round(share / (steps or 1)))
    micro = min(micro, share)
    return Rows(micro=micro, steps=max(1, round(share / micro)), per_step=batch)


def _fixed(row: Row) -> bool:
    """Every row has the same computed length: packed, padded to it, or stated to be exact."""
    if row.get("packing") == "yes":
        return True
    return bool(
        noted(row, r"padded (?:length|to max_seq_length|to \d+)|padding=max_length|exact length known|no padding")
        or noted(row, r"assuming inputs exactly fill seq_len")
    )


def lengths(row: Row) -> Lengths:
    """Tokens of a row of data.

    Unpacked rows: `seq_len` is a cap, the mean is tokens/s over samples/s (or over the batch of a step) where both are
    published. Raises `Unreadable` where the mean is unknown, or was extrapolated from one batch.
    """
    fixed = _fixed(row)
    mean: float | None = count(row, "seq_len") if fixed else None
    if mean is None and noted(row, r"extrapolates token count|tokens? (?:are|is) a constant"):
        raise Unreadable("token counts were extrapolated from the first batch")
    tokens, step = number(row, "tokens_per_s"), number(row, "step_time_s")
    samples = number(row, "samples_per_s")
    if not samples and step:
        samples = (number(row, "global_batch") or 0.0) / step
    if mean is None and tokens and samples:
        mean = tokens / samples
    if mean is None:
        raise Unreadable("rows are not packed and their mean length is not published")
    return Lengths(mean=mean, mean_low=mean, mean_high=mean, fixed=fixed, kind="measured", source=row["source"])


def _within_documents(row: Row) -> bool:
    tuned = row["task"] != "pretrain" and not row["source"].startswith("mlcommons")
    return row.get("packing") == "yes" and tuned and bool(_WITHIN_DOCUMENTS.search(row["framework"]))


def batches_of(row: Row, spread: Spreading) -> tuple[Recipe, Batches, Lengths]:
    """Batches of one optimizer step, with the micro-batch and accumulation as a bare recipe.

    Context-parallel ranks each compute a piece of every row, whose queries attend to the whole row on average as often
    as in an unsplit row: pieces of length L/c whose squared length counts as L^2/c.
    """
    length, step = lengths(row), rows_of(row, spread)
    cap = count(row, "seq_len")
    if found := noted(row, r"max_seq_length (\d+)"):
        cap = cap or int(found[1])
    found_batches = collate(
        length,
        rows=max(1000 * step.per_step, 1),
        micro_batch=step.micro,
        grad_accum=step.steps,
        replicas=max(1, spread.parallel.data // spread.context),
        max_length=None if length.fixed else cap,
    )
    if not length.fixed and cap:
        found_batches = replace(found_batches, longest_row_tokens=float(cap))
    if _within_documents(row):
        found_batches = replace(found_batches, row_tokens_squared=found_batches.row_tokens_squared / _DOCUMENTS)
    if spread.context > 1:
        pieces = spread.context
        found_batches = replace(
            found_batches,
            rows_per_step=found_batches.rows_per_step * pieces,
            row_tokens=found_batches.row_tokens / pieces,
            real_row_tokens=found_batches.real_row_tokens / pieces,
            row_tokens_squared=found_batches.row_tokens_squared / pieces,
            longest_row_tokens=found_batches.longest_row_tokens / pieces,
        )
    return Recipe(micro_batch=step.micro, grad_accum=step.steps), found_batches, length


def recipe(row: Row, spread: Spreading, base: Recipe) -> Recipe:
    """The whole recipe of a row."""
    dtype, quantised = precision(row)
    checkpointing = row.get("act_ckpt") or "unknown"
    if checkpointing == "unknown" and (row["task"] == "qlora" or _RECOMPUTES.search(row["framework"])):
        checkpointing = "full"
    named = re.search(r"\b(muon|adafactor|adamw_8bit|sgd|lion)\b", f"{row['framework']} {row.get('notes', '')}", re.I)
    trained = row["task"] not in ("lora", "qlora")
    return replace(
        base,
        precision=dtype,
        quantize=quantised,
        adapter=_adapter(row),
        optimizer=named[1].lower() if named else "adamw",
        max_length=count(row, "seq_len"),
        pack=row.get("packing") == "yes",
        gradient_checkpointing=checkpointing if checkpointing in ("none", "selective", "full") else "none",
        attention=_attention(row),
        compile=row.get("compile") == "yes",
        master_weights=trained and dtype not in ("fp32", "tf32") and bool(_MASTERS.search(row["framework"])),
        parallel=spread.parallel,
    )
