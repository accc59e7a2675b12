"""What an experiment *is*: architecture, adapter, recipe, batches. Where and how it runs is `domain.machine`.

Owns the nouns only; counting their cost is `work/`, reading them from files is `plan/` and `catalog/`.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """The shape of a transformer, as much of it as costs time or memory.

    `layers` counts decoder blocks of a decoder, encoder blocks of an encoder, and encoder blocks of an
    encoder-decoder, whose decoder blocks are `decoder_layers`.
    """

    name: str
    family: str
    """`decoder`, `encoder` or `encoder-decoder`."""
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    ffn: int
    """Inner width of one feed-forward block (of one routed expert, where there are experts)."""
    vocab: int
    tied: bool
    """Input embedding and output head share one matrix (counted once)."""
    gated: bool
    """SwiGLU or GeGLU: three matrices in a feed-forward block, not two."""
    head_dim: int
    decoder_layers: int = 0
    experts: int = 0
    """Routed experts in a mixture-of-experts block; 0: dense."""
    experts_per_token: int = 0
    shared_ffn: int = 0
    """Inner width of the always-active shared expert(s), added up; 0: none."""
    dense_layers: int = 0
    """Leading blocks with a dense feed-forward of width `dense_ffn` in a mixture-of-experts model."""
    dense_ffn: int = 0
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    norm_bias: bool = False
    """LayerNorm with bias (2 x hidden); False: RMSNorm or bias-free (1 x hidden)."""
    norms_per_layer: int = 2
    norm: str = "rms"
    """`rms` (RMSNorm, weighted in the compute dtype), `wide` (weighted in fp32: Gemma, OLMo 2), `t5` (its input is kept
    beside the fp32 copy) or `layer` (one LayerNorm kernel, as every norm with a bias is)."""
    post_norm: bool = False
    """Attention and feed-forward read the residual as it is, and norms stand behind them (BERT, OLMo 2)."""
    qk_norm: bool = False
    """RMSNorm over each head's query and key (head_dim each)."""
    qk_norm_whole: bool = False
    """That norm spans all heads at once, with as many weights (OLMo 2)."""
    activation: str = "silu"
    """Of the feed-forward, by its name in transformers (`ACT2FN`): `relu` keeps its result for the backward pass,
    `gelu_new` is eight kernels, the others are one that keeps its input."""
    dropout: float = 0.0
    """Share of values dropped behind attention and feed-forward (in T5 inside the feed-forward too)."""
    attention_dropout: float = 0.0
    """Share of attention probabilities dropped."""
    softmax: str = "fp32"
    """Of eager attention: `fp32`, `native` (in the compute dtype: BERT, GPT-2, T5) or `capped` (fp32 behind a tanh)."""
    always_masked: bool = False
    """Attention gets a mask even where rows need none (Falcon)."""
    partial_rotary: bool = False
    """Queries and keys are joined of a rotated and an unrotated part, which lays heads apart from each other: what `o`
    reads is a copy of the fused kernel's result (NeoX, Phi)."""
    fused_qkv: bool = False
    """One stored matrix makes queries, keys and values (GPT-2, NeoX, Phi-3): an adapter on it counts once."""
    fused_gate_up: bool = False
    """One stored matrix makes gate and up (Phi-3)."""
    parallel_block: bool = False
    """Attention and feed-forward read the same normalised input (GPT-J, Falcon, Phi)."""
    learned_positions: int = 0
    """Rows of a learned position table; 0: rotary, ALiBi or relative."""
    token_types: int = 0
    embedding_norm: bool = False
    final_norm: bool = True
    pooler: bool = False
    head: str = "lm"
    """`lm` (vocabulary head), `mlm` (dense + norm + tied decoder + bias) or `none`."""
    head_bias: bool = False
    relative_position_buckets: int = 0
    """T5: buckets x heads parameters, once per stack."""
    sliding_window: int = 0
    window_every: int = 0
    """One in `window_every` layers attends to everything, the others to `sliding_window`; 0: all are windowed."""
    max_positions: int = 0
    parameters_stated: int = 0
    """Published parameter count, as a check on the formula; 0: not published exactly."""
    source: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """A low-rank adapter on some linear layers."""

    method: str = "lora"
    """`lora`, `dora`, `rslora`."""
    rank: int = 8
    alpha: float | None = None
    targets: tuple[str, ...] = ("all-linear",)
    """Words: `q k v o gate up down head`, a library's module names (`q_proj`), or `all-linear`, `attention`, `mlp`."""
    dropout: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallel:
    """How one job is spread over GPUs; `data x tensor x pipeline` = the GPUs of the job."""

    data: int = 1
    tensor: int = 1
    pipeline: int = 1
    sharding: str = "none"
    """Of the data-parallel group: `none` (DDP), `zero1`, `zero2`, `zero3` (FSDP full shard)."""

    @property
    def gpus(self) -> int:
        """GPUs that the job takes."""
        return self.data * self.tensor * self.pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a model is trained, as far as it costs time or memory. Learning rates and the like live in `extra`."""

    precision: str = "bf16"
    """Compute dtype: `bf16`, `fp16`, `fp32`, `fp8`."""
    quantize: str = "none"
    """Of the frozen base weights: `none`, `int8`, `nf4`, `fp8`."""
    adapter: Adapter | None = None
    optimizer: str = "adamw"
    micro_batch: int = 1
    grad_accum: int = 1
    max_length: int | None = None
    """Longest row in tokens; longer ones are truncated. None: the longest row of the data."""
    pack: bool = False
    freeze: int = 0
    """Leading blocks (and the embedding, when over 0) that are not trained."""
    gradient_checkpointing: str = "none"
    """`none`, `selective`, `full`."""
    attention: str = "sdpa"
    compile: bool = False
    master_weights: bool = False
    """An fp32 copy of the trained weights beside 16-bit ones (Megatron, DeepSpeed); fp32 weights under torch's autocast
    are as many bytes with AdamW: 16 a parameter."""
    parallel: Parallel = field(default_factory=Parallel)
    forward_passes: int = 0
    """Passes without gradients over every row beside each training pass: of a reference, reward or teacher model as
    large as the trained one (DPO 1, KTO 1)."""

    @property
    def batch(self) -> int:
        """Rows per optimizer step: micro_batch x grad_accum x replicas."""
        return self.micro_batch * self.grad_accum * self.parallel.data


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Tokens in a row of data, before truncation: quantiles of a distribution, with the doubt about its mean.

    `quantiles` maps a share (0..1) to tokens and is what work is counted from; `mean_low`..`mean_high` is how well
    the mean itself is known (equal when it was measured).
    """

    mean: float
    mean_low: float
    mean_high: float
    quantiles: tuple[tuple[float, float], ...] = ()
    fixed: bool = False
    """Every row has exactly `mean` tokens."""
    kind: str = "assumed"
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """What the collator makes of the rows: the tokens that are really computed in an optimizer step.

    Counts are per job (all replicas), means over an epoch.
    """

    rows_per_step: int
    """Effective batch in rows (packed rows, where packing is on)."""
    micro_steps: int
    """Passes per optimizer step on one replica."""
    micro_rows: int
    """Rows in one pass on one replica."""
    row_tokens: float
    """Mean computed tokens in a row of a pass, padding included."""
    row_tokens_squared: float
    """Mean of the squared computed row length (attention)."""
    real_row_tokens: float
    """Mean tokens of data in a computed row, padding excluded, truncation applied."""
    longest_row_tokens: float
    """The longest computed row, which decides the memory peak."""
    steps_per_epoch: int
    last_batch_rows: int
    """Rows in the last optimizer step of an epoch; equals `rows_per_step` when it divides."""
    packed_rows: float
    """Rows of an epoch after packing (equals the dataset's rows without packing)."""
    truncated_share: float = 0.0
    padding_share: float = 0.0

    @property
    def tokens_per_step(self) -> float:
        """Computed tokens in one full optimizer step of the whole job."""
        return self.rows_per_step * self.row_tokens
