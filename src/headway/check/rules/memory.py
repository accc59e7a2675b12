"""HW7xx, memory and strategy: what does not fit, and what would.

Owns the verdicts of the memory model as findings. Disk is `disk`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import replace

from headway.check.case import Case
from headway.check.causes import Cause, causes, written_at
from headway.check.rule import Rule
from headway.domain.errors import Finding
from headway.domain.experiment import Recipe
from headway.domain.plan import Stage
from headway.domain.software import EAGER_LOGIT_BYTES
from headway.domain.units import format_bytes, format_share
from headway.estimate.nouns import Basis, StageEstimate
from headway.estimate.resolve import MASTER_BYTES
from headway.work.memory import memory

LARGE_LOGITS = 0.2
"""Share of a GPU's memory from which logits are worth a word."""
EXACT = 0.01
"""Share by which bytes a logit may differ from an eager loss's and still be its three copies."""
LARGE_STATES = 0.5
"""Share of a GPU's memory that replicated states fill before sharding is what helps."""
_STATES = ("weights", "gradients", "optimizer", "master_weights")


def _too_large(_: Stage, stage: StageEstimate) -> Hashable:
    basis = stage.basis
    if basis is None or basis.fits == "yes":
        return None
    return (basis.model, basis.node.device.name, basis.node.total_gpus, basis.fits)


def _fits(case: Case) -> Iterator[Finding]:
    for cause in causes(case, _too_large):
        basis = cause.basis
        device, usable = basis.node.device.name, format_bytes(basis.usable_memory_bytes.p50)
        chance = f"may not fit: fits with a probability of {format_share(basis.fits_probability)}"
        assumed = _longest_assumed(basis)
        yield TOO_LARGE.finding(
            f"{basis.model} needs {format_bytes(basis.peak_memory_bytes.p50)} a GPU at its peak "
            f"({basis.memory_moment}{assumed}), and {usable} are usable on {device}: "
            + ("does not fit" if basis.fits == "no" else chance),
            where=case.plan.where("model"),
            evidence={
                "experiments": cause.ids,
                "device": device,
                "peak_bytes": basis.peak_memory_bytes.p50,
                "probability": basis.fits_probability,
            },
            hint=_cure(case, cause, assumed=bool(assumed)),
            severity="error" if basis.fits == "no" and not assumed else "warning",
        )


def _longest_assumed(basis: Basis) -> str:
    """What is taken for the longest row, in words; empty where the plan says it, cuts or packs, or a probe saw it."""
    known = basis.peak_memory_bytes.kind == "measured" or not {"length", "row lengths"} & basis.assumed.keys()
    if known or basis.recipe.max_length is not None or basis.recipe.pack:
        return ""
    return f", rows assumed up to {basis.batches.longest_row_tokens:,.0f} tokens"


def _cure(case: Case, cause: Cause, *, assumed: bool) -> str:
    """What to do first where something is missing in the plan, then what would need less."""
    first = []
    if idle := _gpus_left_out(case, cause.stage, cause.estimate):
        first.append(f"Say gpus: {idle}: parallel: {cause.stage.parallel_kind} has one GPU here.")
    if assumed:
        first.append("Say max_length, or length: {mean, min, max}.")
    return " ".join((*first, f"Try {remedies(cause.basis)}."))


def remedies(basis: Basis) -> str:
    """What would need less memory and is not done already."""
    recipe, found = basis.recipe, []
    if _is_of_logits(basis):
        found.append("a loss in chunks (Liger, cut-cross-entropy) that never holds all logits")
    if recipe.micro_batch > 1:
        found.append("a smaller micro_batch")
    if recipe.max_length is None and not _longest_assumed(basis):
        found.append("a max_length")
    if recipe.gradient_checkpointing != "full":
        found.append("gradient_checkpointing: full")
    if recipe.adapter is None:
        found.append("an adapter")
    elif recipe.quantize == "none":
        found.append("quantize: nf4")
    if basis.node.total_gpus > 1 and recipe.parallel.sharding != "zero3":
        found.append("parallel: fsdp")
    return ", ".join(found) or "a larger GPU or more of them"


def _is_of_logits(basis: Basis) -> bool:
    """True where the peak is that of the loss, and its logits are large."""
    logits = basis.memory_terms_bytes.get("logits")
    large = logits is not None and logits.p50 >= LARGE_LOGITS * basis.usable_memory_bytes.p50
    return large and basis.memory_moment == "loss"


def peak_with(basis: Basis, recipe: Recipe) -> float:
    """Bytes of the peak under another recipe for the same rows: its tensors, with the doubts of the planned one.

    The share by which the predicted peak exceeds its tensors (kernels, allocator) is kept; context and workspace are
    as large as before.
    """
    fixed = sum(basis.memory_terms_bytes[name].p50 for name in ("context", "workspace")
                if name in basis.memory_terms_bytes)  # fmt: skip
    planned = memory(basis.architecture, basis.recipe, basis.batches).peak_bytes
    rows = replace(basis.batches, micro_rows=min(basis.batches.micro_rows, recipe.micro_batch))
    return fixed + memory(basis.architecture, recipe, rows).peak_bytes * (basis.peak_memory_bytes.p50 - fixed) / planned


def _ladder(recipe: Recipe) -> Iterator[tuple[str, Recipe]]:
    """Recipes that need less and less, with what is changed."""
    yield "", recipe
    recipe = replace(recipe, gradient_checkpointing="full")
    yield " with gradient_checkpointing: full", recipe
    if recipe.micro_batch > 1:
        yield " with gradient_checkpointing: full and micro_batch: 1", replace(recipe, micro_batch=1)


def states_bytes(basis: Basis) -> float:
    """Weights, gradients and optimizer of one GPU as planned."""
    terms = memory(basis.architecture, basis.recipe, basis.batches).terms
    return sum(term.bytes for term in terms if term.name in _STATES)


def sharding_cure(basis: Basis) -> tuple[str, float] | None:
    """What has to change beside sharding for a job to fit, in words, and its peak in bytes a GPU.

    None where the job fits as it is, where its states are not what fills the GPU, and where sharding is not enough.
    """
    parallel, usable = basis.recipe.parallel, basis.usable_memory_bytes.p10
    if basis.fits == "yes" or parallel.data < 2 or parallel.sharding != "none":
        return None
    if states_bytes(basis) < LARGE_STATES * usable:
        return None
    for words, recipe in _ladder(basis.recipe):
        sharded = peak_with(basis, replace(recipe, parallel=replace(parallel, sharding="zero3")))
        if sharded <= usable:
            return words, sharded
    return None


def _replicated(_: Stage, stage: StageEstimate) -> Hashable:
    basis = stage.basis
    if basis is None or sharding_cure(basis) is None:
        return None
    return (basis.model, basis.node.device.name, basis.recipe.parallel.data)


def _replicas(case: Case) -> Iterator[Finding]:
    for cause in causes(case, _replicated):
        basis, cure = cause.basis, sharding_cure(cause.basis)
        assert cure is not None  # the cause says so
        words, peak_bytes = cure
        states, parameters = states_bytes(basis), basis.trainable_parameters
        mixed = states + parameters * MASTER_BYTES if basis.recipe.adapter is None else states
        also = "" if basis.recipe.master_weights or mixed == states else f" ({format_bytes(mixed)} with fp32 masters)"
        yield REPLICAS.finding(
            f"every one of {basis.recipe.parallel.data} GPUs holds weights, gradients and optimizer of {basis.model}, "
            f"{format_bytes(states)}{also}; sharded over them, the job needs {format_bytes(peak_bytes)} a GPU{words}",
            where=written_at(case, cause, "parallel"),
            evidence={
                "experiments": cause.ids, "states_bytes": states, "states_with_masters_bytes": mixed,
                "sharded_peak_bytes": peak_bytes,
                "usable_bytes": basis.usable_memory_bytes.p10,
            },
            hint=f"Use parallel: fsdp{words}.",
        )  # fmt: skip


def _gpus_left_out(case: Case, stage: Stage, estimate: StageEstimate) -> int | None:
    """GPUs of the machine where a stage is to be spread over several and has one; else None."""
    machine = case.lookup.machines.get(stage.machine or case.plan.run.machine) or case.machine
    asked = stage.parallel_kind and stage.recipe.parallel.data != 1
    if not asked or machine is None or estimate.basis is None or estimate.basis.node.total_gpus > 1:
        return None
    return machine.node.total_gpus if machine.node.total_gpus > 1 else None


def _alone(case: Case) -> Iterator[Finding]:
    def key(stage: Stage, estimate: StageEstimate) -> Hashable:
        gpus = _gpus_left_out(case, stage, estimate)
        return None if gpus is None else (stage.parallel_kind, gpus)

    for cause in causes(case, key):
        gpus, kind = _gpus_left_out(case, cause.stage, cause.estimate), cause.stage.parallel_kind
        does = "copies the model to" if kind == "ddp" else "shards over"
        yield ONE_OF_SEVERAL.finding(
            f"parallel: {kind} {does} the GPUs of a stage, and this one has 1 of {gpus}",
            where=written_at(case, cause, "parallel"),
            evidence={"experiments": cause.ids, "parallel": kind, "gpus": 1, "machine_gpus": gpus},
            hint=f"Say gpus: {gpus}, or leave parallel out.",
        )


def _wide(_: Stage, stage: StageEstimate) -> Hashable:
    """Large logits, where they are not named as what does not fit."""
    basis = stage.basis
    if basis is not None and basis.fits != "yes" and _is_of_logits(basis):
        return None
    logits = basis.memory_terms_bytes.get("logits") if basis else None
    if basis is None or logits is None or logits.p50 < LARGE_LOGITS * basis.usable_memory_bytes.p50:
        return None
    return (basis.model, basis.recipe.micro_batch, basis.recipe.max_length, basis.node.device.name)


def _logit_bytes(basis: Basis, each_bytes: float) -> str:
    """What is held for each logit, in words; empty where assumed row lengths make the middle one of shorter rows."""
    if abs(each_bytes / EAGER_LOGIT_BYTES - 1) < EXACT:
        return f", each {EAGER_LOGIT_BYTES:.0f} bytes: three fp32 copies, the logit and two gradients"
    scaled = "row lengths" in basis.assumed or basis.peak_memory_bytes.kind == "measured"
    return "" if scaled else f", each {each_bytes:.2g} bytes"


def _logits(case: Case) -> Iterator[Finding]:
    for cause in causes(case, _wide):
        basis = cause.basis
        size, usable = basis.memory_terms_bytes["logits"].p50, basis.usable_memory_bytes.p50
        rows, tokens, vocab = basis.batches.micro_rows, basis.batches.longest_row_tokens, basis.architecture.vocab
        yield WIDE_LOGITS.finding(
            f"logits and their gradients take {format_bytes(size)}, {format_share(size / usable)} of the GPU: {rows} x "
            f"up to {tokens:,.0f} tokens x {vocab:,} words{_logit_bytes(basis, size / (rows * tokens * vocab))}",
            where=written_at(case, cause, "micro_batch"),
            evidence={
                "experiments": cause.ids, "logits_bytes": size, "usable_bytes": usable, "rows": rows,
                "tokens": tokens, "vocabulary": vocab,
            },
            hint="A loss in chunks (Liger, cut-cross-entropy) never holds them whole; or take a smaller micro_batch.",
            severity="warning" if basis.fits != "yes" else None,
        )  # fmt: skip


TOO_LARGE = Rule(
    code="HW701",
    name="does not fit",
    severity="error",
    says="Every training stage fits into the memory of its GPU.",
    because="A run that does not fit ends at its first step. Counted are tensors at the worst moment of a step for the "
    "longest rows, with the CUDA context and what the allocator keeps; an error where it fits in under 10 % of draws.",
    fails="""headway: 1
model: Qwen/Qwen2-7B
data: {rows: 1k, length: {mean: 2048, max: 2048}}
micro_batch: 8
max_length: 2048
run: {machine: RTX 4090}
""",
    passes="""headway: 1
model: Qwen/Qwen2-0.5B
data: {rows: 1k, length: {mean: 512, max: 512}}
micro_batch: 1
max_length: 512
run: {machine: RTX 4090}
""",
    find=_fits,
)
_EIGHT = """headway: 1
model: Qwen/Qwen3-8B
data: {{rows: 1k, length: {{mean: 1024, max: 1024}}}}
micro_batch: 1
gpus: 8
parallel: {parallel}
run: {{machine: {{gpu: A100 SXM 40GB, gpus: 8}}}}
"""
_SPREAD = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 1k, length: {{mean: 512, min: 512, max: 512}}}}
micro_batch: 1
gpus: {gpus}
parallel: fsdp
run: {{machine: {{gpu: A100 SXM 40GB, gpus: 8}}}}
"""
_VOCABULARY = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 1k, length: {{mean: 4096, max: 4096}}}}
max_length: 4096
micro_batch: {rows}
run: {{machine: H100 SXM 80GB}}
"""

REPLICAS = Rule(
    code="HW702",
    name="replicas that do not fit",
    severity="warning",
    says="A model whose states do not fit beside its activations is sharded over the GPUs of its job.",
    because="DDP keeps weights, gradients and Adam's moments on every GPU, 8 to 16 bytes a parameter; ZeRO-3 and FSDP "
    "divide them by the GPUs (Rajbhandari et al. 2020, arXiv:1910.02054, figure 1).",
    fails=_EIGHT.format(parallel="ddp"),
    passes=_EIGHT.format(parallel="fsdp"),
    find=_replicas,
)
WIDE_LOGITS = Rule(
    code="HW703",
    name="logits in full",
    severity="info",
    says="The logits of one pass take less than a fifth of the GPU.",
    because="A vocabulary of 150,000 words makes 1.8 MB a token at the loss: logits in fp32 and two gradients.",
    fails=_VOCABULARY.format(rows=4),
    passes=_VOCABULARY.format(rows=1),
    find=_logits,
)
ONE_OF_SEVERAL = Rule(
    code="HW705",
    name="spread over one GPU",
    severity="warning",
    says="A stage that is spread over GPUs has more than one of them.",
    because="A stage has one GPU unless the plan says more, whatever its machine has: FSDP and ZeRO over one GPU shard "
    "nothing, and DDP copies to none, so that neither hours nor memory are those that were meant.",
    fails=_SPREAD.format(gpus=1),
    passes=_SPREAD.format(gpus=8),
    find=_alone,
)
RULES = (TOO_LARGE, REPLICAS, WIDE_LOGITS, ONE_OF_SEVERAL)
