"""Architectures whose parameters and FLOP are known exactly, for the tests of the work room.

Shapes are those of the models' config.json; parameter counts are the published safetensors totals, seen again by
`data/count_with_torch.py` for those in `data/counted_flop.csv`.
"""

from __future__ import annotations

from dataclasses import replace

from headway.domain.experiment import Architecture, Batches


def decoder(name: str, layers: int, hidden: int, heads: int, kv: int, ffn: int, vocab: int, **more) -> Architecture:
    """A Llama-like decoder: gated, RMSNorm, rotary, untied, no biases; `more` says where a model differs."""
    given = {"head_dim": hidden // heads, "tied": False, "gated": True, "family": "decoder"} | more
    return Architecture(
        name=name, layers=layers, hidden=hidden, heads=heads, kv_heads=kv, ffn=ffn, vocab=vocab, **given
    )


_BIASED = {"qkv_bias": True, "out_bias": True, "mlp_bias": True, "norm_bias": True, "gated": False}
_BERT = _BIASED | {
    "family": "encoder",
    "tied": True,
    "token_types": 2,
    "embedding_norm": True,
    "final_norm": False,
    "pooler": True,
    "head": "none",
    "post_norm": True,
    "activation": "gelu",
    "dropout": 0.1,
    "attention_dropout": 0.1,
    "softmax": "native",
}

QWEN2_05B = decoder("qwen2-0.5b", 24, 896, 14, 2, 4864, 151936, tied=True, qkv_bias=True)
QWEN15_05B = decoder("qwen1.5-0.5b", 24, 1024, 16, 16, 2816, 151936, tied=True, qkv_bias=True)
QWEN3_06B = decoder("qwen3-0.6b", 28, 1024, 16, 8, 3072, 151936, tied=True, qk_norm=True, head_dim=128)
QWEN3_8B = decoder("qwen3-8b", 36, 4096, 32, 8, 12288, 151936, qk_norm=True, head_dim=128)
LLAMA_7B = decoder("llama-7b", 32, 4096, 32, 32, 11008, 32000)
LLAMA_TINY = decoder("llama-tiny", 4, 256, 8, 4, 688, 1000)
GPT2 = decoder(
    "gpt2",
    12,
    768,
    12,
    12,
    3072,
    50257,
    tied=True,
    learned_positions=1024,
    fused_qkv=True,
    activation="gelu_new",
    dropout=0.1,
    attention_dropout=0.1,
    softmax="native",
    **_BIASED,
)
GPT2_NO_DROPOUT = replace(GPT2, name="gpt2-no-dropout", dropout=0.0, attention_dropout=0.0)
GEMMA_2B = decoder("gemma-2b", 18, 2048, 8, 1, 16384, 256000, tied=True, head_dim=256, norm="wide")
PYTHIA_70M = decoder(
    "pythia-70m", 6, 512, 8, 8, 2048, 50304, parallel_block=True, fused_qkv=True, partial_rotary=True, **_BIASED
)
MIXTRAL_8X7B = decoder("mixtral-8x7b", 32, 4096, 32, 8, 14336, 32000, experts=8, experts_per_token=2)
MIXTRAL_TINY = decoder("mixtral-tiny", 3, 128, 4, 2, 352, 1000, experts=8, experts_per_token=2)
BERT_BASE = decoder("bert-base", 12, 768, 12, 12, 3072, 30522, learned_positions=512, **_BERT)
BERT_MLM = replace(BERT_BASE, name="bert-base-mlm", pooler=False, head="mlm")
ROBERTA_BASE = decoder(
    "roberta-base", 12, 768, 12, 12, 3072, 50265, learned_positions=514, **_BERT | {"token_types": 1}
)
T5_SMALL = decoder(
    "t5-small",
    6,
    512,
    8,
    8,
    2048,
    32128,
    family="encoder-decoder",
    decoder_layers=6,
    gated=False,
    tied=True,
    relative_position_buckets=32,
    norm="t5",
    activation="relu",
    dropout=0.1,
    attention_dropout=0.1,
    softmax="native",
)
BART_BASE = decoder(
    "bart-base",
    6,
    768,
    12,
    12,
    3072,
    50265,
    family="encoder-decoder",
    decoder_layers=6,
    tied=True,
    learned_positions=1026,
    embedding_norm=True,
    final_norm=False,
    post_norm=True,
    activation="gelu",
    dropout=0.1,
    softmax="native",
    **_BIASED,
)

PUBLISHED_PARAMETERS = {
    QWEN2_05B: 494_032_768,
    QWEN15_05B: 463_987_712,
    QWEN3_06B: 596_049_920,
    QWEN3_8B: 8_190_735_360,
    decoder("qwen2.5-7b", 28, 3584, 28, 4, 18944, 152064, qkv_bias=True): 7_615_616_512,
    GPT2: 124_439_808,
    LLAMA_7B: 6_738_415_616,
    decoder("llama-3-8b", 32, 4096, 32, 8, 14336, 128256): 8_030_261_248,
    decoder("llama-3.2-1b", 16, 2048, 32, 8, 8192, 128256, tied=True): 1_235_814_400,
    decoder("tinyllama-1.1b", 22, 2048, 32, 4, 5632, 32000): 1_100_048_384,
    decoder("mistral-7b", 32, 4096, 32, 8, 14336, 32000): 7_241_732_096,
    decoder("smollm2-135m", 30, 576, 9, 3, 1536, 49152, tied=True): 134_515_008,
    GEMMA_2B: 2_506_172_416,
    PYTHIA_70M: 70_426_624,
    MIXTRAL_8X7B: 46_702_792_704,
    BERT_BASE: 109_482_240,
    ROBERTA_BASE: 124_645_632,
    T5_SMALL: 60_506_624,
    BART_BASE: 139_420_416,
}

BY_NAME = {
    arch.name: arch
    for arch in (
        QWEN2_05B,
        QWEN3_06B,
        LLAMA_7B,
        LLAMA_TINY,
        GPT2,
        GPT2_NO_DROPOUT,
        GEMMA_2B,
        PYTHIA_70M,
        BERT_BASE,
        BERT_MLM,
        T5_SMALL,
        MIXTRAL_TINY,
    )
}


def fixed(rows: int, tokens: int, *, micro_steps: int = 1, padding_share: float = 0.0, replicas: int = 1) -> Batches:
    """Passes of `rows` rows of exactly `tokens` computed tokens."""
    return Batches(
        rows_per_step=rows * micro_steps * replicas,
        micro_steps=micro_steps,
        micro_rows=rows,
        row_tokens=float(tokens),
        row_tokens_squared=float(tokens) ** 2,
        real_row_tokens=tokens * (1 - padding_share),
        longest_row_tokens=float(tokens),
        steps_per_epoch=1,
        last_batch_rows=rows * micro_steps * replicas,
        packed_rows=float(rows * micro_steps * replicas),
        padding_share=padding_share,
    )
