"""headway's formulas against the real models of transformers, and the verb that says so, end to end.

Widths are those of published models, with fewer blocks: tensors without data cost the same at any width. Parallel
blocks are all there: adapters leave the lowest feed-forward without gradients, which the formulas do not subtract.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headway.catalog import from_config
from headway.check.trace import MEMORY_SHARE, compare
from headway.cli import headway as command
from headway.cli.refusals import exit_code_of
from headway.domain.experiment import Adapter, Lengths, Recipe
from headway.work.batches import collate
from headway.worker.tracing.step import trace
from headway.worker.training.models import Setup


def blocks(kind: str, hidden: int, heads: int, kv: int, ffn: int, vocab: int, **more: Any) -> dict[str, Any]:
    given = {
        "model_type": kind,
        "num_hidden_layers": 4,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "intermediate_size": ffn,
        "vocab_size": vocab,
    }
    return given | more


LLAMAS = {
    "llama-3.2-1b": blocks("llama", 2048, 32, 8, 8192, 128256, tie_word_embeddings=True),
    "llama-7b": blocks("llama", 4096, 32, 32, 11008, 32000),
    "qwen2-0.5b": blocks("qwen2", 896, 14, 2, 4864, 151936, tie_word_embeddings=True),
    "qwen3-0.6b": blocks("qwen3", 1024, 16, 8, 3072, 151936, head_dim=128, tie_word_embeddings=True),
    "mistral-7b": blocks("mistral", 4096, 32, 8, 14336, 32000, sliding_window=4096),
    "gemma-2b": blocks("gemma", 2048, 8, 1, 16384, 256000, head_dim=256, tie_word_embeddings=True),
    "smollm3-3b": blocks("smollm3", 2048, 16, 4, 11008, 128256, pad_token_id=0, tie_word_embeddings=True),
    "starcoder2-3b": blocks("starcoder2", 3072, 24, 2, 12288, 49152, tie_word_embeddings=True),
}
OTHERS = {
    "gemma3-1b": blocks("gemma3_text", 1152, 4, 1, 6912, 262144, head_dim=256, sliding_window=512),
    "phi3-mini": blocks("phi3", 3072, 32, 32, 8192, 32064, pad_token_id=0),
    "phi-2": blocks("phi", 2560, 32, 32, 10240, 51200, num_hidden_layers=24),
    "pythia-410m": blocks("gpt_neox", 1024, 16, 16, 4096, 50304, num_hidden_layers=24),
    "gpt2": {"model_type": "gpt2", "n_layer": 4, "n_embd": 768, "n_head": 12, "vocab_size": 50257},
    "falcon-1b": blocks("falcon", 2048, 32, 32, 8192, 50304, alibi=False, multi_query=True, num_hidden_layers=24),
    "olmo2-1b": blocks("olmo2", 2048, 16, 16, 8192, 100352, pad_token_id=0),
    "opt-1.3b": blocks("opt", 2048, 32, 32, 8192, 50272, ffn_dim=8192, max_position_embeddings=2048),
    "bert-base": blocks("bert", 768, 12, 12, 3072, 30522, num_hidden_layers=12),
    "t5-base": {
        "model_type": "t5", "d_model": 768, "d_ff": 3072, "d_kv": 64, "num_layers": 4, "num_heads": 12,
        "vocab_size": 32128, "is_encoder_decoder": True, "decoder_start_token_id": 0,
    },
}  # fmt: skip
QUERIES = {
    "phi3-mini": ("qkv_proj",),
    "pythia-410m": ("query_key_value",),
    "gpt2": ("c_attn",),
    "falcon-1b": ("query_key_value",),
    "bert-base": ("query", "value"),
    "t5-base": ("q", "v"),
}


def differences(name: str, method: str, attention: str, checkpointing: str, seq: int) -> dict[str, tuple[str, float]]:
    """Unit and difference of every quantity that is compared."""
    config = {**LLAMAS, **OTHERS}[name]
    arch = from_config(config, name)
    targets = {"full": (), "qv": QUERIES.get(name, ("q_proj", "v_proj")), "all": ("all-linear",)}[method]
    head = "seq2seq" if arch.family == "encoder-decoder" else arch.head
    found = trace(
        Setup(config=config, head=head, batch=2, seq=seq, dtype="bf16", attention=attention,
              checkpointing=checkpointing, rank=8 if targets else 0, targets=targets)
    )  # fmt: skip
    recipe = Recipe(
        adapter=Adapter(rank=8, targets=targets) if targets else None,
        micro_batch=2,
        attention=attention,
        gradient_checkpointing=checkpointing,
    )
    rows = Lengths(mean=seq, mean_low=seq, mean_high=seq, fixed=True)
    compared = compare(found, arch, recipe, collate(rows, rows=2, micro_batch=2))
    return {row.name: (row.unit, 9.0 if row.difference is None else row.difference) for row in compared}


@pytest.mark.parametrize("method", ["full", "qv", "all"])
@pytest.mark.parametrize("checkpointing", ["none", "full"])
@pytest.mark.parametrize("name", [*LLAMAS, *OTHERS])
def test_formulas_hold_in_everything(name: str, method: str, checkpointing: str) -> None:
    for row, (unit, off) in differences(name, method, "sdpa", checkpointing, 512).items():
        allowed = {"parameters": 0, "flop": 1e-4, "bytes": MEMORY_SHARE}[unit]
        assert abs(off) <= allowed, row


@pytest.mark.parametrize("method", ["full", "qv", "all"])
@pytest.mark.parametrize("name", OTHERS)
def test_what_eager_blocks_keep(name: str, method: str) -> None:
    off = differences(name, method, "eager", "none", 256)["activations kept in blocks"][1]
    assert abs(off) <= MEMORY_SHARE


@pytest.mark.parametrize("method", ["full", "qv", "all"])
@pytest.mark.parametrize("name", ["llama-3.2-1b", "qwen3-0.6b", "phi-2", "pythia-410m", "gpt2", "bert-base", "t5-base"])
def test_flop_of_eager_attention_to_a_thousandth(name: str, method: str) -> None:
    for row, (unit, off) in differences(name, method, "eager", "none", 256).items():
        if unit == "flop":
            assert abs(off) <= 0.001, row


# ---- the verb


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = exit_code_of(lambda: command.main(args=["trace", *words], prog_name="headway", standalone_mode=False))
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return code, printed.out, printed.err


def test_a_model_of_the_catalog_agrees(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("Qwen/Qwen2-0.5B", "--lora", "4", "--batch", "8", "--seq", "128", "--attention", "eager", "--json")
    code, out, err = run(capsys, *words)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["schema"] == "headway.trace_check/1"
    assert found["agrees"] is True
    assert found["trace"]["model"]["class"] == "Qwen2ForCausalLM"
    counted = {row["quantity"]: row["counted"] for row in found["rows"]}
    assert counted["trained parameters"] == 2_199_552
    assert counted["forward"] == pytest.approx(1.0274e12, rel=1e-4)
    assert counted["whole step"] == pytest.approx(2.0685e12, rel=1e-4)


def test_a_config_beside_a_plan_is_traced_as_the_plan_trains_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    config = LLAMAS["llama-3.2-1b"] | {"num_hidden_layers": 2}
    (tmp_path / "mine" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "headway: 1\nname: small\nmodel: ./mine\nadapter: {method: lora, rank: 4, targets: [q, v]}\n"
        "quantize: nf4\ngradient_checkpointing: full\nmicro_batch: 2\nmax_length: 64\n"
        "data: {rows: 80k, length: 200}\nsteps: 10\nrun:\n  machine: {gpu: RTX 4090}\n",
        encoding="utf-8",
    )
    code, out, err = run(capsys, str(plan), "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    step = found["trace"]["step"]
    assert (step["batch"], step["seq"], step["rank"], step["checkpointing"]) == (2, 64, 4, "full")
    assert any("nf4" in remark for remark in found["remarks"])


def test_what_the_worker_refuses_is_the_message(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "google/gemma-2-2b", "--seq", "64")
    assert (code, out) == (1, "")
    assert err.startswith("error: transformers must be able to make the model")
