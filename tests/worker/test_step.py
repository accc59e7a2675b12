"""One step of real models: against PyTorch's own counter, counts by hand, tensors counted on a CPU, and laws."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from headway.domain.errors import UserError
from headway.worker.trace import answer, main
from headway.worker.tracing.step import trace
from headway.worker.training.models import Setup, head_of, inputs, loss, make, unpacked_rows

DATA = Path(__file__).parents[1] / "work" / "data"
SEVEN = "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj"


def setup(config: dict[str, Any], **more: Any) -> Setup:
    given = {"head": "lm", "batch": 2, "seq": 256, "dtype": "bf16", "attention": "sdpa", "checkpointing": "none"}
    return Setup(config=config, **{**given, **more})


@pytest.mark.parametrize("rank", [0, 8])
@pytest.mark.parametrize("checkpointing", ["none", "full"])
def test_flop_are_those_of_pytorchs_counter(tiny: dict[str, Any], rank: int, checkpointing: str) -> None:
    asked = setup(tiny, attention="eager", rank=rank, checkpointing=checkpointing)
    with warnings.catch_warnings(action="ignore"), unpacked_rows():
        model = make(asked)
        with FlopCounterMode(display=False) as counter:
            result = loss(model, inputs(asked))
            forward = counter.get_total_flops()
            result.backward()
    found = trace(asked)["flop"]
    assert (found["forward"], found["total"]) == (forward, counter.get_total_flops())


def test_a_step_by_hand(tiny: dict[str, Any]) -> None:
    found = trace(setup(tiny | {"num_hidden_layers": 1}, attention="eager"))
    rows, width, narrow, ffn, vocab, seq = 2 * 256, 256, 128, 688, 1000, 256
    weights = 2 * width * width + 2 * width * narrow + 3 * width * ffn + width * vocab
    scores = 4 * 2 * seq * seq * width
    assert found["flop"]["forward"] == 2 * rows * weights + scores
    assert found["flop"]["backward"] == 2 * (2 * rows * weights + scores)
    assert found["flop"]["by_kind"]["linear"] == 3 * 2 * rows * weights
    parameters = weights + width * vocab + 3 * width
    assert found["parameters"] == {"total": parameters, "trainable": parameters}
    assert found["memory_bytes"]["weights"] == found["memory_bytes"]["gradients"] == 2 * parameters
    assert found["memory_bytes"]["optimizer"] == 4 * parameters


def test_a_lora_step_trains_adapters_in_fp32(tiny: dict[str, Any]) -> None:
    found = trace(setup(tiny, rank=8, targets=("q_proj", "v_proj")))
    adapters = 4 * 8 * (256 + 256 + 256 + 128)
    assert found["parameters"]["trainable"] == adapters
    assert found["parameters"]["total"] == trace(setup(tiny))["parameters"]["total"]
    assert found["memory_bytes"]["adapters"] == found["memory_bytes"]["gradients"] == 4 * adapters
    assert found["memory_bytes"]["optimizer"] == 8 * adapters
    assert found["model"] == {"class": "LlamaForCausalLM", "type": "llama"}


# What autograd packs on a CPU, counted by another program (`count_with_torch.py`). There, fp32 heads that share keys
# run a fused kernel, which CUDA lacks; and CUDA's kernel keeps its random state.
RANDOM_STATE_BYTES = 24
ROWS = [
    row
    for row in csv.DictReader((DATA / "saved_activations.csv").read_text(encoding="utf-8").splitlines())
    if row["model"] == "llama" and row["dtype"] == "bfloat16"
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(row.values()))
def test_a_block_keeps_what_was_counted_on_a_cpu(tiny: dict[str, Any], row: dict[str, str]) -> None:
    sizes = []
    for layers in (2, 4):
        asked = setup(
            tiny | {"num_hidden_layers": layers},
            batch=int(row["batch"]),
            seq=int(row["tokens"]),
            checkpointing=row["checkpointing"],
            rank=int(row["rank"]),
            targets=tuple(row["targets"].split()),
        )
        sizes.append(trace(asked)["memory_bytes"]["activations"])
    more = 0 if row["checkpointing"] == "full" else RANDOM_STATE_BYTES
    assert (sizes[1] - sizes[0]) / 2 == float(row["block_bytes"]) + more


def test_a_checkpointed_block_adds_its_input_alone(tiny: dict[str, Any]) -> None:
    """The recomputed block is let go before the next: eight blocks peak by four inputs (and states) over four."""
    peaks, weights = [], []
    for layers in (4, 8):
        found = trace(setup(tiny | {"num_hidden_layers": layers}, checkpointing="full", rank=8))["memory_bytes"]
        peaks.append(found["peak"])
        weights.append(found["weights"] + found["adapters"] + found["optimizer"])
    inputs_bytes = 4 * 2 * 256 * 256 * 2
    assert peaks[1] - peaks[0] == pytest.approx(weights[1] - weights[0] + inputs_bytes, rel=0.005)


def test_the_peak_is_the_sum_of_its_terms(tiny: dict[str, Any]) -> None:
    found = trace(setup(tiny, rank=8))
    for peak in found["peaks"].values():
        assert sum(peak["terms_bytes"].values()) == peak["bytes"]
    assert found["memory_bytes"]["peak"] == max(peak["bytes"] for peak in found["peaks"].values())


def test_experts_do_the_same_work_whoever_gets_which_row() -> None:
    config = {
        "model_type": "mixtral",
        "num_hidden_layers": 3,
        "hidden_size": 128,
        "intermediate_size": 352,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 1000,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
    }
    found = trace(setup(config, batch=4, seq=128, attention="eager"))
    # counted on a CPU with real routing: tests/work/data/counted_flop.csv, mixtral-tiny
    assert (found["flop"]["forward"], found["flop"]["total"]) == (1_216_348_160, 3_649_044_480)


@pytest.mark.parametrize(
    ("config", "head"),
    [
        ({"architectures": ["LlamaForCausalLM"]}, "lm"),
        ({"architectures": ["GPT2LMHeadModel"]}, "lm"),
        ({"architectures": ["BertForMaskedLM"]}, "mlm"),
        ({"architectures": ["BertModel"]}, "none"),
        ({"architectures": ["T5ForConditionalGeneration"], "is_encoder_decoder": True}, "seq2seq"),
        ({"architectures": None}, "lm"),
    ],
)
def test_the_head_is_what_the_config_names(config: dict[str, Any], head: str) -> None:
    assert head_of(config) == head


@pytest.mark.parametrize(
    ("change", "more", "says"),
    [
        ({"model_type": "no-such"}, {}, "transformers knows"),
        ({"hidden_size": "wide"}, {}, "transformers accepts"),
        ({}, {"rank": 4, "targets": ("qproj",)}, "It has q_proj, k_proj"),
        ({"model_type": "gemma2"}, {}, "does not support an attention"),
    ],
)
def test_what_cannot_be_made_is_refused(
    tiny: dict[str, Any], change: dict[str, Any], more: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError) as refusal:
        trace(setup(tiny | change, **more))
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_model_that_reads_values_is_refused(tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from headway.worker.tracing import step

    monkeypatch.setattr(step, "inputs", lambda asked: {"input_ids": torch.zeros((2, 8), device="meta").nonzero()})
    with pytest.raises(UserError, match="must run without data"):
        trace(setup(tiny))


def test_the_program_prints_one_line(tiny: dict[str, Any]) -> None:
    words = ["-", "--batch", "2", "--seq", "64", "--rank", "4", "--targets", "query|q_proj", "v_proj"]
    done = subprocess.run(
        [sys.executable, "-m", "headway.worker.trace", *words],
        input=json.dumps(tiny),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
    document = json.loads(done.stdout)
    assert document["schema"] == "headway.trace/1"
    assert set(document) == {
        "schema", "model", "step", "environment", "parameters", "flop", "memory_bytes", "peaks"
    }  # fmt: skip
    assert set(document["memory_bytes"]) == {
        "weights", "adapters", "gradients", "optimizer", "activations", "outside_blocks", "peak"
    }  # fmt: skip
    assert document["parameters"]["trainable"] == 4 * 4 * (256 + 256 + 256 + 128)


def test_a_fault_of_a_library_is_one_line(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(tiny | {"num_attention_heads": 0}), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["trace", str(tmp_path)])
    assert main() == 1
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 1)


def test_code_beside_a_config_is_never_run(tiny: dict[str, Any]) -> None:
    found = trace(setup(tiny | {"auto_map": {"AutoModelForCausalLM": "somebody/code--modeling.Model"}}, seq=16))
    assert found["model"]["class"] == "LlamaForCausalLM"


def test_a_model_without_head_keeps_no_cache(tiny: dict[str, Any]) -> None:
    """Keys and values of an unused cache would stay: the blocks keep the same with and without a head."""
    bare, whole = (trace(setup(tiny, head=head))["memory_bytes"]["activations"] for head in ("none", "lm"))
    assert bare == whole


def test_a_folder_is_a_model(tiny: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(tiny | {"architectures": ["LlamaModel"]}), encoding="utf-8")
    found = answer([str(tmp_path), "--seq", "32"])
    assert found["step"]["head"] == "none"
    assert found["model"]["class"] == "LlamaModel"
