"""Files of other tools, completed by the catalog and `--assume`, estimated, and written as plans."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import headway as hw
from headway.app.imported import opened
from headway.domain.errors import PlanError
from headway.domain.experiment import Batches
from headway.plan import read_plan
from headway.work.memory import memory
from headway.work.parameters import trainable_parameters

SAMPLES = Path(__file__).parents[1] / "plan" / "importers" / "samples"
WHOLE = sorted(path.name for path in SAMPLES.iterdir() if path.stem not in {"deepspeed", "accelerate"})
AXOLOTL = """\
base_model: {model}
adapter: lora
lora_r: 8
lora_target_modules: [q_proj, {target}]
datasets: [{{path: {data}}}]
micro_batch_size: 2
gradient_accumulation_steps: 2
sequence_len: 512
num_epochs: 1
"""
GPU = {"gpu": "A100 SXM 80GB", "tokens_per_sample": "300"}


def config(folder: Path, *, model: str = "Qwen/Qwen2-0.5B", target: str = "v_proj", data: str = "acme/x") -> str:
    path = folder / "config.yaml"
    path.write_text(AXOLOTL.format(model=model, target=target, data=data), encoding="utf-8")
    return str(path)


def test_an_estimate_of_another_tools_file(tmp_path: Path) -> None:
    result = hw.load(config(tmp_path), assume={**GPU, "samples": "10k"}).estimate()
    assert result.estimate.experiments[0].steps == 2500  # 10,000 rows over 2 x 2
    document = json.loads(json.dumps(result.to_dict()))
    assert document["imported"]["format"] == "an axolotl configuration"
    said = {one["field"]: one for one in document["imported"]["read"]}
    assert (said["micro_batch"]["value"], said["micro_batch"]["line"]) == ("2", 6)
    assert {one["field"] for one in document["imported"]["absent"]} >= {"optimizer", "precision", "parallel"}
    assert "Imported" in [section.title for section in result.view().sections]
    assert result.answer.next_command.startswith("headway init --from")


def test_what_an_estimate_needs_is_asked_for_by_name(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="gpu, samples") as refused:
        hw.load(config(tmp_path))
    assert "--assume samples=52k" in refused.value.hint


def test_keys_of_the_plan_are_assumed_as_ever(tmp_path: Path) -> None:
    project = hw.load(config(tmp_path), assume={**GPU, "samples": "1k", "micro_batch": "4", "mfu": "30%"})
    assert project.plan.experiments[0].stages[0].recipe.micro_batch == 4
    assert project.estimate(sensitivity=False).estimate.wall_s.p50 > 0


def test_rows_of_a_well_known_dataset_need_not_be_asked(tmp_path: Path) -> None:
    found = opened(config(tmp_path, data="openai/gsm8k"), {})
    assert found is not None
    assert [ask.key for ask in found.imported.asks] == ["gpu"]
    assert any("7,473" in note for note in found.imported.notes)


def test_a_model_that_the_catalog_lacks_is_sized_and_its_estimate_is_wider(tmp_path: Path) -> None:
    widths = []
    for model in ("mistralai/Mistral-7B-v0.1", "acme/helper-mistral-7b"):
        result = hw.load(config(tmp_path, model=model), assume={**GPU, "samples": "5k"}).estimate(sensitivity=False)
        wall = result.estimate.wall_s
        widths.append(wall.p90 / wall.p10)
        basis = result.estimate.experiments[0].stages[0].basis
        assert basis is not None
        assert basis.parameters == pytest.approx(7e9, rel=0.06)
        assert sum(spread.p50 for spread in basis.memory_terms_bytes.values()) > 0
    assert widths[1] > 1.2 * widths[0]
    assert "(assumed)" in result.answer.lookup.notes["acme/helper-mistral-7b"]


@pytest.mark.parametrize("given", [{"params": "3B"}, {"params": "3000000000"}, {"model": "Qwen/Qwen2.5-3B"}])
def test_params_and_model_say_what_a_name_does_not(tmp_path: Path, given: dict[str, str]) -> None:
    file = config(tmp_path, model="acme/secret")
    with pytest.raises(PlanError, match="params"):
        hw.load(file, assume={**GPU, "samples": "5k"})
    basis = hw.load(file, assume={**GPU, "samples": "5k", **given}).estimate(sensitivity=False).estimate
    stage = basis.experiments[0].stages[0].basis
    assert stage is not None
    assert stage.parameters == pytest.approx(3e9, rel=0.06)


def test_a_config_json_beside_the_file_is_the_model(tmp_path: Path) -> None:
    shape = {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4,
             "intermediate_size": 128, "vocab_size": 1000}  # fmt: skip
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text(json.dumps(shape), encoding="utf-8")
    found = opened(config(tmp_path, model="mine"), {**GPU, "samples": "10"})
    assert found is not None
    assert found.models["mine"].layers == 2


def test_adapter_targets_that_the_model_lacks_are_left_out_and_said(tmp_path: Path) -> None:
    found = opened(config(tmp_path, model="openai-community/gpt2", target="gate_proj"), {**GPU, "samples": "10"})
    assert found is not None
    assert any("gate_proj" in note for note in found.imported.notes)
    assert found.source.plan.experiments[0].stages[0].recipe.adapter is not None


def test_an_adapter_of_peft_defaults_trains_as_many_parameters(tmp_path: Path) -> None:
    """Qwen2.5-1.5B: 28 blocks; q 1536 -> 1536, v 1536 -> 256; 28 x 32 x (1536 + 1536 + 1536 + 256) = 4,358,144."""
    path = tmp_path / "train.sh"
    path.write_text("trl sft --model_name_or_path Qwen/Qwen2.5-1.5B --use_peft --lora_r 32\n", encoding="utf-8")
    found = opened(str(path), {**GPU, "samples": "10"})
    assert found is not None
    recipe = found.source.plan.experiments[0].stages[0].recipe
    assert trainable_parameters(found.models["Qwen/Qwen2.5-1.5B"], recipe).total == 4_358_144


HF = "model_name_or_path: Qwen/Qwen2-0.5B\noutput_dir: out\nper_device_train_batch_size: 2\nmax_steps: 10\n"
LITGPT = """checkpoint_dir: checkpoints/Qwen/Qwen2-0.5B
train: {micro_batch_size: 2, global_batch_size: 2, max_steps: 10}
"""
LIGHTNING = "model: {model_name: Qwen/Qwen2-0.5B}\ntrainer: {max_steps: 10, devices: 1, precision: %s}\n"


@pytest.mark.parametrize(
    ("text", "each"),
    [
        (HF + "fp16: true\n", 16), (HF + "bf16: true\n", 16), (HF + "bf16: true\ntorch_dtype: float32\n", 16),
        (HF + "fp16: true\ntorch_dtype: float16\n", 16), (HF, 16), (HF + "bf16: true\ntorch_dtype: bfloat16\n", 8),
        (HF + "bf16: true\ntorch_dtype: auto\n", 8), (HF + "torch_dtype: bfloat16\n", 8),
        (LITGPT + "precision: bf16-mixed\n", 16), (LITGPT + "precision: bf16-true\n", 8),
        (LIGHTNING % "16-mixed", 16), (LIGHTNING % "bf16", 16), (LIGHTNING % "bf16-true", 8), (LIGHTNING % "32", 16),
    ],
)  # fmt: skip
def test_bytes_of_a_trained_parameter_by_number_format(tmp_path: Path, text: str, each: int) -> None:
    """With AdamW, 494,032,768 parameters: in 16 bits 2 + 2 + 4 bytes; fp32, or under autocast over fp32, 4 + 4 + 8."""
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    found = opened(str(path), {**GPU, "samples": "10"})
    assert found is not None
    recipe = found.source.plan.experiments[0].stages[0].recipe
    one_row = Batches(rows_per_step=1, micro_steps=1, micro_rows=1, row_tokens=9.0, row_tokens_squared=81.0,
                      real_row_tokens=9.0, longest_row_tokens=9.0, steps_per_epoch=1, last_batch_rows=1,
                      packed_rows=1.0)  # fmt: skip
    held = memory(found.models["Qwen/Qwen2-0.5B"], recipe, one_row)
    assert sum(held[name] for name in ("weights", "gradients", "optimizer", "master_weights")) == each * 494_032_768


def test_adapters_have_no_master_weights(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(HF + "bf16: true\nuse_peft: true\n", encoding="utf-8")
    found = opened(str(path), {**GPU, "samples": "10"})
    assert found is not None
    assert "master_weights" not in found.imported.plan


@pytest.mark.parametrize(("model", "sees"), [("Qwen/Qwen2.5-VL-7B-Instruct", True), ("acme/SmolVLM-2B", True),
                                             ("Qwen/Qwen2-0.5B", False), ("acme/evl-7b", False)])  # fmt: skip
def test_a_model_that_sees_has_rows_of_unknown_length(tmp_path: Path, model: str, sees: bool) -> None:
    for assume, said in ((GPU, False), ({"gpu": GPU["gpu"]}, sees)):
        found = opened(config(tmp_path, model=model), {**assume, "samples": "10"})
        assert found is not None
        assert any("counted as text" in note for note in found.imported.notes) is said


def test_frozen_layers_are_counted_from_the_end(tmp_path: Path) -> None:
    path = tmp_path / "freeze.yaml"
    path.write_text("model_name_or_path: Qwen/Qwen2-0.5B\nstage: sft\nfinetuning_type: freeze\n"
                    "freeze_trainable_layers: 4\nmax_steps: 10\n", encoding="utf-8")  # fmt: skip
    found = opened(str(path), GPU)
    assert found is not None
    assert found.source.plan.experiments[0].stages[0].recipe.freeze == 24 - 4


def test_an_engine_decodes_without_the_host(tmp_path: Path) -> None:
    text = (SAMPLES / "swift.sh").read_text(encoding="utf-8")
    seconds = []
    for engine in ("true", "false"):
        path = tmp_path / f"{engine}.sh"
        path.write_text(text.replace("--use_vllm true", f"--use_vllm {engine}"), encoding="utf-8")
        result = hw.load(path, assume={**GPU, "model": "Qwen/Qwen2-0.5B"}).estimate(sensitivity=False)
        seconds.append(result.estimate.experiments[0].terms_s["generation"].p50)
    # 250 rounds of 1,024 tokens read 0.99 GB of weights at 2.04 TB/s or slower: 124 s at the least
    assert 124 < seconds[0] < 0.5 * seconds[1]


@pytest.mark.parametrize("name", WHOLE)
def test_what_init_writes_is_the_plan_that_is_estimated(name: str) -> None:
    assume = {**GPU, "samples": "10k"}
    found = opened(SAMPLES / name, assume)
    assert found is not None
    text = found.text()
    plan = read_plan("plan.yaml", text=text).plan
    assert [item.id for item in plan.experiments] == [item.id for item in found.source.plan.experiments]
    for here, there in zip(plan.experiments, found.source.plan.experiments, strict=True):
        assert [stage.recipe for stage in here.stages] == [stage.recipe for stage in there.stages]
        assert [stage.kind for stage in here.stages] == [stage.kind for stage in there.stages]
    assert "# From " in text
    assert all(line.startswith("#") or "line" in line or "#" not in line or "not said" in line or "--assume" in line
               for line in text.splitlines())  # fmt: skip


@pytest.mark.parametrize(("rows", "layers"), [("n_layer: 3, n_head: 4, n_embd: 64, padded_vocab_size: 100", 3),
                                              ("n_layer: 3", 6), ("n_layer: 0.3, n_head: x", 6)])  # fmt: skip
def test_a_shape_that_is_written_out_whole_is_the_model(tmp_path: Path, rows: str, layers: int) -> None:
    path = tmp_path / "pretrain.yaml"
    path.write_text(f"model_name: pythia-70m\nmodel_config: {{{rows}}}\ndata: X\n"
                    "train: {micro_batch_size: 2, global_batch_size: 4, max_steps: 5}\n", encoding="utf-8")  # fmt: skip
    found = opened(path, GPU)
    assert found is not None
    assert found.models["pythia-70m"].layers == layers
