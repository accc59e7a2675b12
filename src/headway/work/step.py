"""The work of an optimizer step, an evaluation pass or a generation, as one record of named terms.

Owns the record and its wiring from `flop`, `traffic` and `communication`. Does not own what it counts, nor seconds.
Everything is of one GPU (the busiest, where pipeline stages differ).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from headway.domain.experiment import Architecture, Batches, Recipe
from headway.work.activations import element_bytes
from headway.work.communication import Transfer, pipeline_bubble, transfers
from headway.work.flop import Attention, Product, attentions, products
from headway.work.parameters import blocks_of
from headway.work.traffic import Chain, chains, dequantise, product_bytes, product_launches, updates

PHASES = ("forward", "backward", "recompute", "optimizer", "communication")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkTerm:
    """One kind of work in one phase on one GPU; an amount that a kind does not have is 0."""

    name: str
    phase: str
    """One of `PHASES`."""
    kind: str
    """`linear head adapter attention elementwise loss dequantise optimizer communication`."""
    dtype: str
    """In which the arithmetic is done."""
    flop: float = 0.0
    """Counted as PyTorch's counter does: attention scores in full."""
    executed_share: float = 1.0
    """What the kernel really computes, of `flop`: 0.5 for a causal flash forward."""
    bytes: float = 0.0
    """Read and written in the GPU's own memory."""
    launches: float = 0.0
    """Kernels launched."""
    link_bytes: float = 0.0
    """Sent to other GPUs."""
    messages: float = 0.0
    """Hops one after another, each with the link's latency."""
    shape: tuple[float, float, float] | None = None
    """(m, n, k) of a product."""
    count: float = 0.0
    """Executions of that product."""

    @property
    def executed_flop(self) -> float:
        """FLOP that the kernel really computes."""
        return self.flop * self.executed_share


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Named terms; every total is their sum."""

    terms: tuple[WorkTerm, ...]
    bubble: float = 0.0
    """Share of the step in which a pipeline stage waits."""

    @property
    def flop(self) -> float:
        """FLOP counted in all phases."""
        return sum(term.flop for term in self.terms)

    @property
    def model_flop(self) -> float:
        """FLOP of forward and backward, not of recomputation: the numerator of MFU (PaLM, appendix B)."""
        return sum(term.flop for term in self.terms if term.phase in ("forward", "backward"))

    @property
    def bytes(self) -> float:
        """Bytes read and written in the GPU's memory."""
        return sum(term.bytes for term in self.terms)

    @property
    def launches(self) -> float:
        """Kernels launched."""
        return sum(term.launches for term in self.terms)

    @property
    def link_bytes(self) -> float:
        """Bytes sent to other GPUs."""
        return sum(term.link_bytes for term in self.terms)

    def _grouped(self, groups: Iterable[tuple[str, WorkTerm]]) -> dict[str, Work]:
        found: defaultdict[str, list[WorkTerm]] = defaultdict(list)
        for key, term in groups:
            found[key].append(term)
        return {key: Work(terms=tuple(terms)) for key, terms in found.items()}

    def by_phase(self) -> dict[str, Work]:
        """The terms of each phase that has any."""
        return self._grouped((term.phase, term) for term in self.terms)

    def by_name(self) -> dict[str, Work]:
        """The terms of each name, over all phases."""
        return self._grouped((term.name, term) for term in self.terms)

    def by_kind(self) -> dict[str, Work]:
        """The terms of each kind, over all phases."""
        return self._grouped((term.kind, term) for term in self.terms)


def _dtype(recipe: Recipe, kind: str, phase: str) -> str:
    """Dtype of a term's arithmetic: int8 forwards multiply in int8, fp8 recipes only the blocks' linear layers in fp8.

    Adapters are kept in fp32 but multiply in the compute dtype, as under the Trainer's autocast.
    """
    if kind == "linear":
        return "int8" if recipe.quantize == "int8" and phase != "backward" else recipe.precision
    if kind in ("adapter", "head", "attention"):
        return "bf16" if recipe.precision == "fp8" else recipe.precision
    return "fp32"


def _of_product(arch: Architecture, recipe: Recipe, product: Product) -> WorkTerm:
    return WorkTerm(
        name=product.name,
        phase=product.phase,
        kind=product.kind,
        dtype=_dtype(recipe, product.kind, product.phase),
        flop=product.flop,
        bytes=product_bytes(product, recipe),
        launches=product_launches(arch, product),
        shape=(product.m, product.n, product.k),
        count=product.count,
    )


def _of_chain(recipe: Recipe, chain: Chain, attention: Attention | None = None) -> WorkTerm:
    return WorkTerm(
        name=chain.name,
        phase=chain.phase,
        kind=chain.kind,
        dtype=_dtype(recipe, chain.kind, chain.phase),
        flop=attention.flop if attention else 0.0,
        executed_share=attention.executed_share if attention else 1.0,
        bytes=chain.bytes,
        launches=chain.launches,
    )


def _of_transfer(recipe: Recipe, transfer: Transfer) -> WorkTerm:
    return WorkTerm(
        name=transfer.name,
        phase="communication",
        kind="communication",
        dtype=recipe.precision,
        link_bytes=transfer.bytes,
        messages=transfer.messages,
    )


def _merged(found: Iterable[Attention]) -> dict[str, Attention]:
    """All kinds of attention of a phase as one: FLOP added, executed shares weighted by them."""
    merged: dict[str, Attention] = {}
    for one in found:
        before = merged.setdefault(one.phase, one)
        if before is not one:
            flop = before.flop + one.flop
            executed = before.flop * before.executed_share + one.flop * one.executed_share
            count = before.count + one.count
            merged[one.phase] = replace(one, flop=flop, executed_share=executed / flop, count=count)
    return merged


def _passes(arch: Architecture, recipe: Recipe, batches: Batches) -> list[WorkTerm]:
    terms = []
    for product in products(arch, recipe, batches):
        terms.append(_of_product(arch, recipe, product))
        unpacking = dequantise(recipe, product)
        if unpacking is not None:
            terms.append(_of_chain(recipe, unpacking))
    attention = _merged(attentions(arch, recipe, batches))
    for chain in chains(arch, recipe, batches):
        terms.append(_of_chain(recipe, chain, attention.get(chain.phase) if chain.kind == "attention" else None))
    return terms


def _passes_beside(recipe: Recipe, passes: Iterable[WorkTerm]) -> list[WorkTerm]:
    """The forward passes of models that are not trained, on the same rows: those of the base model, adapters left out.

    A reference model of the same size (DPO: Rafailov et al. 2023, arXiv:2305.18290, eq. 7) runs the forward once more;
    beside an adapter it is the base model with the adapter switched off.
    """
    times = recipe.forward_passes
    return [
        replace(
            term,
            name=f"beside.{term.name}",
            flop=term.flop * times,
            bytes=term.bytes * times,
            launches=term.launches * times,
            count=term.count * times,
        )
        for term in passes
        if times and term.phase == "forward" and term.kind != "adapter" and not term.name.startswith("adapter")
    ]


def _gathers_beside(recipe: Recipe, found: Iterable[Transfer]) -> list[Transfer]:
    """What full sharding gathers for those passes: the weights once, where forward and backward gather them twice.

    What tensor- and pipeline-parallel passes beside the training send is not counted.
    """
    share = recipe.forward_passes / 2 if recipe.parallel.sharding == "zero3" else 0.0
    return [
        replace(one, bytes=one.bytes * share, messages=one.messages * share)
        for one in found
        if share and one.name == "data.weights"
    ]


def step_work(arch: Architecture, recipe: Recipe, batches: Batches) -> Work:
    """Work of one full optimizer step (all its micro-steps, and the forward passes beside them) on one GPU.

    Raises `UserError` for an adapter target, optimizer, quantisation or sharding that does not exist.
    """
    terms = _passes(arch, recipe, batches)
    terms += _passes_beside(recipe, terms)
    terms += [_of_chain(recipe, chain) for chain in updates(arch, recipe, batches)]
    sent = transfers(arch, recipe, batches)
    terms += [_of_transfer(recipe, one) for one in (*sent, *_gathers_beside(recipe, sent))]
    return Work(terms=tuple(terms), bubble=pipeline_bubble(recipe, batches))


def forward_work(arch: Architecture, recipe: Recipe, batches: Batches) -> Work:
    """Work of the same passes without gradients: an evaluation on `micro_steps` passes, on one GPU."""
    terms = tuple(term for term in _passes(arch, recipe, batches) if term.phase == "forward")
    return Work(terms=terms, bubble=pipeline_bubble(recipe, batches))


def _rows_of(rows: int, tokens: float) -> Batches:
    """One pass over `rows` rows of exactly `tokens` tokens."""
    return Batches(
        rows_per_step=rows,
        micro_steps=1,
        micro_rows=rows,
        row_tokens=tokens,
        row_tokens_squared=tokens * tokens,
        real_row_tokens=tokens,
        longest_row_tokens=tokens,
        steps_per_epoch=1,
        last_batch_rows=rows,
        packed_rows=float(rows),
    )


def _stacks(arch: Architecture) -> tuple[Architecture, Architecture]:
    """What reads the prompt and what writes new tokens: the same blocks, or encoder and decoder."""
    if not arch.decoder_layers:
        return arch, arch
    return replace(arch, family="encoder", decoder_layers=0), replace(arch, layers=0)


def _cached(arch: Architecture, positions: float) -> float:
    """Cached positions that a new token attends to, averaged over the layers (windows limit some)."""
    if not arch.sliding_window:
        return positions
    everything = 1.0 / arch.window_every if arch.window_every else 0.0
    return everything * positions + (1 - everything) * min(positions, float(arch.sliding_window))


def _decoded(arch: Architecture, recipe: Recipe, term: WorkTerm, rows: int, positions: float) -> WorkTerm:
    """A term of a one-token pass, with the cache that attention reads and only the experts that are chosen."""
    if term.kind == "attention":
        blocks = blocks_of(arch) / recipe.parallel.pipeline / recipe.parallel.tensor
        width = rows * positions * arch.head_dim * blocks
        cache = 2.0 * width * arch.kv_heads * element_bytes(recipe.precision)
        return replace(term, flop=4.0 * width * arch.heads, executed_share=1.0, bytes=term.bytes + cache)
    if "experts." in term.name:
        chosen = 1.0 - (1.0 - arch.experts_per_token / arch.experts) ** rows
        return replace(term, bytes=term.bytes * chosen)
    return term


def generation_work(arch: Architecture, recipe: Recipe, prompt_tokens: float, new_tokens: float, rows: int = 1) -> Work:
    """Work of generating `new_tokens` for each of `rows` prompts of `prompt_tokens` (in tokens), on one GPU.

    The prompts are one forward pass without head. Then every new token passes through all weights it meets and reads
    the keys and values so far, 2 x kv_heads x head_dim a layer and position: bound by bandwidth unless rows are many
    (Pope et al. 2022, arXiv:2211.05102, section 2). Pipeline stages take turns, so that `bubble` is (p-1)/p.
    """
    reader, writer = _stacks(arch)
    prompt = forward_work(reader, recipe, _rows_of(rows, prompt_tokens))
    terms = [term for term in prompt.terms if term.kind not in ("head", "loss")]
    positions = _cached(arch, prompt_tokens + max(0.0, new_tokens - 1) / 2)
    for term in forward_work(writer, recipe, _rows_of(rows, 1.0)).terms:
        if term.kind != "loss":
            one = _decoded(writer, recipe, term, rows, positions)
            terms.append(
                replace(
                    one,
                    name=f"decode.{one.name}",
                    flop=one.flop * new_tokens,
                    bytes=one.bytes * new_tokens,
                    launches=one.launches * new_tokens,
                    count=one.count * new_tokens,
                )
            )
    stages = recipe.parallel.pipeline
    return Work(terms=tuple(terms), bubble=(stages - 1) / stages)
