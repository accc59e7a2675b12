"""How many parameters a model has, how many a token meets, and how many of them a recipe trains.

Owns the exact counts, per named term. Does not own their bytes (`memory`) or their FLOP (`flop`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from headway.domain.experiment import Architecture, Recipe
from headway.work.linears import Linear, adapted, linears


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterTerm:
    """Parameters of one kind: in the whole model, and in the computation of one token."""

    name: str
    total: int
    active: int
    tensors: int = 0
    """Separate tensors that hold them (what an optimizer loops over)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Named terms that sum to the totals; a term that a model lacks is absent."""

    terms: tuple[ParameterTerm, ...]

    def __getitem__(self, name: str) -> int:
        """Parameters of one term; 0 when the model has none of it."""
        return sum(term.total for term in self.terms if term.name == name)

    @property
    def total(self) -> int:
        """All parameters, a tied head counted once (with the embedding)."""
        return sum(term.total for term in self.terms)

    @property
    def active(self) -> int:
        """Parameters that one token meets: of routed experts only those it is sent to."""
        return sum(term.active for term in self.terms)

    @property
    def embedding(self) -> int:
        """The token embedding, which is looked up and not multiplied."""
        return self["embedding"]

    @property
    def tensors(self) -> int:
        """Tensors that hold them."""
        return sum(term.tensors for term in self.terms)

    @property
    def blocks(self) -> int:
        """Parameters inside the blocks: what activation checkpointing recomputes and FSDP gathers block by block."""
        return sum(term.total for term in self.terms if term.name in _BLOCK_TERMS)


_BLOCK_TERMS = ("attention", "mlp", "experts", "shared_experts", "router", "norms", "adapters")
_GROUPS = {"experts": "experts", "shared": "shared_experts", "cross": "attention"}


def _group(linear: Linear) -> str:
    """The parameter term that a linear layer belongs to."""
    prefix = linear.name.split(".", 1)[0]
    if prefix in ("head", "pooler", "router"):
        return prefix
    if prefix in _GROUPS:
        return _GROUPS[prefix]
    return "mlp" if linear.word in ("gate", "up", "down") else "attention"


def blocks_of(arch: Architecture) -> int:
    """Transformer blocks in all stacks."""
    return arch.layers + arch.decoder_layers


def norm_width(arch: Architecture) -> int:
    """Parameters of one normalisation over the hidden width: weight, and bias where there is one."""
    return arch.hidden * (2 if arch.norm_bias else 1)


def _norms(arch: Architecture, freeze: int) -> ParameterTerm:
    encoder = max(0, arch.layers - freeze)
    decoder = max(0, arch.decoder_layers - max(0, freeze - arch.layers))
    count = encoder * arch.norms_per_layer + decoder * (arch.norms_per_layer + 1)  # cross-attention brings one
    total = count * norm_width(arch)
    if arch.qk_norm:
        both = (arch.heads + arch.kv_heads if arch.qk_norm_whole else 2) * arch.head_dim
        total += (encoder + decoder) * both
        count += (encoder + decoder) * 2
    return ParameterTerm(name="norms", total=total, active=total, tensors=count * (2 if arch.norm_bias else 1))


def _tables(arch: Architecture) -> list[ParameterTerm]:
    """What turns token ids into the first hidden state; an encoder-decoder shares the embedding only (BART)."""
    stacks = 2 if arch.decoder_layers else 1
    sizes = {
        "embedding": arch.vocab * arch.hidden,
        "positions": arch.learned_positions * arch.hidden * stacks,
        "token_types": arch.token_types * arch.hidden,
        "embedding_norm": norm_width(arch) * stacks if arch.embedding_norm else 0,
        "relative_positions": arch.relative_position_buckets * arch.heads * stacks,
    }
    return [ParameterTerm(name=name, total=size, active=size, tensors=1) for name, size in sizes.items() if size]


def _finals(arch: Architecture) -> int:
    """Normalisations over the hidden width outside the blocks, after them."""
    stacks = 2 if arch.decoder_layers else 1
    return (stacks if arch.final_norm else 0) + (1 if arch.head == "mlm" else 0)


@lru_cache(maxsize=1024)
def _count(arch: Architecture, freeze: int) -> Parameters:
    """Parameters that are not in the embedding or in the `freeze` leading blocks; all of them when that is 0."""
    terms = [] if freeze else _tables(arch)
    groups: dict[str, list[int]] = {}
    for linear in linears(arch):
        live = linear.from_block(freeze)
        size = linear.parameters
        if linear.name == "head" and arch.tied:
            size = linear.outputs if linear.bias else 0  # the matrix is the embedding's
        tensors = 0 if linear.rides_along(arch) else (size > 0) + (linear.bias and size > linear.outputs)
        sums = groups.setdefault(_group(linear), [0, 0, 0])
        sums[0] += size * live * linear.copies
        sums[1] += size * live * linear.active
        sums[2] += tensors * live * linear.copies
    terms += [ParameterTerm(name=n, total=s[0], active=s[1], tensors=s[2]) for n, s in groups.items() if s[0]]
    finals = _finals(arch) * norm_width(arch)
    terms.append(_norms(arch, freeze))
    terms.append(
        ParameterTerm(name="final_norm", total=finals, active=finals, tensors=_finals(arch) * (1 + arch.norm_bias))
    )
    return Parameters(terms=tuple(term for term in terms if term.total))


def count_parameters(arch: Architecture) -> Parameters:
    """Every parameter of `arch`, per named term, a tied head counted once; exact for the families it describes.

    Checked against published counts and against `model.parameters()` of the Hugging Face classes (`tests/work`).
    """
    return _count(arch, 0)


@lru_cache(maxsize=1024)
def trainable_parameters(arch: Architecture, recipe: Recipe) -> Parameters:
    """The parameters that `recipe` trains, per named term.

    Full fine-tuning trains all but the embedding and the `freeze` leading blocks (a head tied to a frozen embedding
    is frozen with it). An adapter trains rank x (inputs + outputs) for each adapted matrix (Hu et al. 2021,
    arXiv:2106.09685, section 4.1), each expert its own; DoRA adds one magnitude per output (Liu et al. 2024,
    arXiv:2402.09353). Raises `UserError` for a target that names no layer.
    """
    if recipe.adapter is None:
        return _count(arch, recipe.freeze)
    total = active = tensors = 0
    magnitudes = recipe.adapter.method == "dora"
    for linear in adapted(arch, recipe.adapter):
        each = recipe.adapter.rank * (linear.inputs + linear.outputs) + (linear.outputs if magnitudes else 0)
        live = linear.from_block(recipe.freeze)
        total += each * live * linear.copies
        active += each * live * linear.active
        tensors += (3 if magnitudes else 2) * live * linear.copies
    return Parameters(terms=(ParameterTerm(name="adapters", total=total, active=active, tensors=tensors),))
