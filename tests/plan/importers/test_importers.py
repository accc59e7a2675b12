"""Every format: recognised by its content, read whole, each field from its line. Samples stand beside this file."""

from __future__ import annotations

from pathlib import Path

import pytest

from headway.domain.errors import PlanError
from headway.plan import Imported, plan_from_mapping, plan_from_tree, read_import
from headway.plan.importers import IMPORTERS, imported, recognised
from headway.plan.importing.assemble import completed

SAMPLES = Path(__file__).parent / "samples"
SIDE_FILES = {"deepspeed", "accelerate"}
WHOLE = sorted(path.name for path in SAMPLES.iterdir() if path.stem not in {*SIDE_FILES, "markdown"})


def sample(stem: str, **given: str) -> Imported:
    path = next(SAMPLES.glob(f"{stem}.*"))
    found = read_import(path, given)
    assert found is not None
    return found


def fields(found: Imported) -> dict[str, str]:
    """What is taken for each field, read or by default."""
    return {one.field: one.value for one in found.absent} | {one.field: one.value for one in found.read}


def read(text: str, name: str = "x.yaml", **given: str) -> Imported:
    found = imported(name, text, given=given)
    assert found is not None
    return found


# ---- the folder


def test_every_importer_is_listed_and_has_a_sample() -> None:
    import headway.plan.importers as room

    files = {path.stem for path in Path(room.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == set(IMPORTERS) == {path.stem for path in SAMPLES.iterdir()}


@pytest.mark.parametrize("path", sorted(SAMPLES.iterdir()), ids=lambda path: path.name)
def test_a_sample_is_recognised_by_its_content_alone(path: Path) -> None:
    found = recognised("file", path.read_text(encoding="utf-8"))
    assert found is not None
    assert found[0] == path.stem
    assert found[1]


@pytest.mark.parametrize("name", WHOLE)
def test_a_reading_is_complete_and_points_into_the_file(name: str) -> None:
    found = read_import(SAMPLES / name, {"gpu": "H100 SXM", "samples": "10k"})
    assert found is not None
    assert not completed(found)
    assert not found.asks
    lines = (SAMPLES / name).read_text(encoding="utf-8").splitlines()
    for one in found.read:
        if not one.key.startswith(("--assume", "launcher")) and one.where.line:
            last = one.key.rpartition(".")[2].removeprefix("--").split()[0]
            assert last in lines[one.where.line - 1].replace("-", "_").replace("__", "") or last in one.key
    for one in found.absent:
        assert one.source


@pytest.mark.parametrize("name", WHOLE)
def test_a_reading_is_an_ordinary_plan(name: str) -> None:
    found = read_import(SAMPLES / name, {"gpu": "H100 SXM", "samples": "10k"})
    assert found is not None
    plan = plan_from_tree(found.plan, str(SAMPLES / name)).plan
    assert len(plan.experiments) == 1
    assert plan.where("model").file == str(SAMPLES / name)
    assert plan.where("micro_batch").line or plan.where("stages").line


@pytest.mark.parametrize("name", sorted(SIDE_FILES))
def test_a_side_file_alone_names_the_file_it_belongs_to(name: str) -> None:
    with pytest.raises(PlanError, match="only goes with one") as refused:
        sample(name)
    assert "belongs to" in refused.value.hint


# ---- the samples, field by field


def test_axolotl() -> None:
    found = sample("axolotl")
    said = fields(found)
    assert said["model"] == "acme/Helper-Mistral-7B-sft"
    assert (said["method"], said["rank"], said["targets"], said["quantize"]) == ("qlora", "24", "q_proj, v_proj", "nf4")
    assert (said["micro_batch"], said["grad_accum"], said["epochs"], said["max_length"]) == ("2", "8", "2", "1536")
    assert (said["optimizer"], said["parallel"]) == ("paged_adamw_8bit", "zero2")
    assert said["precision"].startswith("auto")  # the best of the GPU, as axolotl takes it
    assert "precision" not in found.plan
    assert (said["save"], said["evaluate"], said["gradient_checkpointing"]) == ("0.25 epochs", "0.5 epochs", "full")
    assert said["pack"] == "false"
    assert [one.key for one in found.not_read] == ["model_type", "wandb_project", "output_dir"]
    assert [ask.key for ask in found.asks] == ["gpu"]


def test_llama_factory() -> None:
    said = fields(sample("llama_factory"))
    assert (said["objective"], said["method"], said["rank"]) == ("pt", "lora", "16")
    assert said["targets"] == "q_proj, k_proj, v_proj, o_proj"
    assert (said["micro_batch"], said["grad_accum"], said["epochs"], said["max_length"]) == ("2", "16", "1.5", "4096")
    assert (said["rows"], said["data"]) == ("50000", "notes_en + notes_de")
    assert said["pack"] == "true"  # pre-training packs
    assert said["gradient_checkpointing"] == "full"  # its own default, against transformers'
    assert (said["save"], said["evaluate"], said["parallel"]) == ("200 steps", "400 steps", "zero3")


def test_torchtune() -> None:
    found = sample("torchtune")
    said = fields(found)
    assert said["model"] == "meta-llama/Llama-3.1-8B"
    assert (said["method"], said["rank"], said["targets"]) == ("lora", "32", "q_proj, v_proj, o_proj, mlp")
    assert (said["micro_batch"], said["grad_accum"], said["epochs"], said["max_length"]) == ("3", "4", "2", "3072")
    assert (said["optimizer"], said["pack"], said["compile"]) == ("PagedAdamW8bit", "true", "true")
    assert said["parallel"] == "zero3"
    assert [ask.key for ask in found.asks] == ["gpu", "samples"]


def test_litgpt_divides_the_global_batch() -> None:
    said = fields(sample("litgpt"))
    assert (said["micro_batch"], said["gpus"], said["grad_accum"]) == ("4", "4", "4")  # 64 / (4 x 4)
    assert (said["targets"], said["gradient_checkpointing"]) == ("q, k, v", "full")
    assert (said["save"], said["evaluate"], said["eval_rows"]) == ("250 steps", "125 steps", "160")  # 40 x 4


def test_lightning() -> None:
    said = fields(sample("lightning"))
    assert (said["model"], said["micro_batch"], said["grad_accum"]) == ("bert-base-uncased", "16", "8")
    assert (said["gpus"], said["parallel"], said["precision"]) == ("4", "zero3", "bf16")
    assert (said["save"], said["evaluate"], said["epochs"]) == ("300 steps", "0.5 epochs", "5")


def test_swift_fills_in_its_variables() -> None:
    said = fields(sample("swift"))
    assert (said["gpus"], said["micro_batch"], said["grad_accum"]) == ("4", "4", "8")
    assert (said["objective"], said["method"], said["rows"]) == ("grpo", "full", "2000")
    assert said["max_length"] == "1536"  # prompt and completion
    assert said["evaluate"] == "no"


def test_trl_command() -> None:
    said = fields(sample("trl"))
    assert (said["model"], said["gpus"], said["parallel"]) == ("HuggingFaceTB/SmolLM2-1.7B", "16", "zero3")
    assert (said["method"], said["rank"], said["targets"]) == ("lora", "32", "q_proj, v_proj")
    assert (said["steps"], said["save"], said["evaluate"]) == ("1200", "300 steps", "no")  # a quarter of the steps
    assert (said["pack"], said["gradient_checkpointing"], said["max_length"]) == ("true", "full", "2048")


def test_training_arguments() -> None:
    said = fields(sample("hf"))
    assert (said["method"], said["precision"], said["optimizer"]) == ("full", "fp16", "adafactor")
    assert (said["epochs"], said["save"], said["evaluate"]) == ("3", "1 epochs", "250 steps")
    assert (said["rows"], said["eval_rows"], said["parallel"]) == ("40000", "800", "zero3")
    assert said["gradient_checkpointing"] == "none"


def test_markdown_tables_become_phases_with_stated_hours() -> None:
    found = sample("markdown", gpu="RTX 4090")
    plan = plan_from_tree(found.plan, "x.md").plan
    assert [(phase.name, len(phase.experiments)) for phase in plan.phases] == [("Rank", 2), ("Data size", 2)]
    walls = [item.stated.terms["wall"] if "wall" in item.stated.terms else item.stages[0].stated for item in
             plan.experiments]  # fmt: skip
    assert len(walls) == 4
    assert [item.name for item in plan.experiments] == ["rank 4", "rank 16", "half", "all rows"]  # no total
    trained = sample("markdown", model="Qwen/Qwen2-0.5B")
    plan = plan_from_tree(trained.plan, "x.md").plan
    assert [item.stages[0].steps.mid for item in plan.experiments if item.stages[0].steps] == [10e3, 10e3, 5e3, 10e3]


@pytest.mark.parametrize(
    ("model", "targets"),
    [
        ("Qwen/Qwen2.5-1.5B", "q_proj, v_proj"), ("meta-llama/Llama-3.2-1B", "q_proj, v_proj"),
        ("google/gemma-2-2b", "q_proj, v_proj"), ("microsoft/Phi-3-mini-4k-instruct", "qkv_proj"),
        ("microsoft/phi-2", "q_proj, v_proj, fc1, fc2"), ("openai-community/gpt2", "c_attn"),
        ("EleutherAI/pythia-1b", "query_key_value"), ("EleutherAI/gpt-neo-1.3B", "q_proj, v_proj"),
        ("tiiuae/falcon-7b", "query_key_value"), ("tiiuae/Falcon3-7B-Base", "q_proj, v_proj"),
        ("google-bert/bert-base-uncased", "query, value"), ("FacebookAI/xlm-roberta-base", "query, value"),
        ("google/flan-t5-base", "q, v"), ("facebook/opt-125m", "q_proj, v_proj"),
        ("facebook/bart-base", "q_proj, v_proj"),
        ("acme/own-model", "q, v"), ("microsoft/deberta-v3-base", "q, v"),
    ],
)  # fmt: skip
def test_an_adapter_without_targets_is_put_where_peft_puts_it(model: str, targets: str) -> None:
    found = read(f"trl sft --model_name_or_path {model} --dataset_name a/b --use_peft --lora_r 32\n", "x.sh")
    assert fields(found)["targets"] == targets
    assert any("not known for this model" in note for note in found.notes) == (targets == "q, v" and "t5" not in model)
    said = read(f"trl sft --model_name_or_path {model} --use_peft --lora_target_modules all-linear\n", "x.sh")
    assert fields(said)["targets"] == "all-linear"
    assert not any("PEFT" in note for note in said.notes)


def test_llama_factory_without_a_format_takes_the_best_of_the_gpu() -> None:
    text = "model_name_or_path: a/b\nstage: sft\nfinetuning_type: lora\ncutoff_len: 512\n"
    for said, format_ in (("", ""), ("bf16: false\n", ""), ("fp16: true\n", "fp16"), ("bf16: true\n", "bf16")):
        found = read(text + said)
        assert str(found.plan.get("precision", "")) == format_
        assert format_ or "patcher.py" in next(one.source for one in found.absent if one.field == "precision")


def test_few_training_arguments_are_enough_beside_a_model() -> None:
    found = read('{"output_dir": "out", "model_name_or_path": "Qwen/Qwen2-0.5B"}', "args.json")
    said = fields(found)
    assert (said["model"], said["epochs"], said["micro_batch"]) == ("Qwen/Qwen2-0.5B", "3", "8")
    assert [ask.key for ask in found.asks] == ["gpu", "samples"]
    assert imported("args.json", '{"output_dir": "out"}') is None
    assert imported("args.json", '{"model_name_or_path": "a/b", "seed": 1}') is None


# ---- preference tuning and reinforcement learning


def test_a_preference_pair_is_two_rows_and_a_pass_of_the_reference_model() -> None:
    found = sample("axolotl", gpu="H100 SXM")
    plan = plan_from_tree(found.plan, "x").plan
    stage = plan.experiments[0].stages[0]
    assert stage.recipe.micro_batch == 2 * 2
    assert stage.recipe.forward_passes == 1
    rows = plan.datasets["training"].rows
    assert rows is not None
    assert rows.mid == 2 * 0.9 * 6000
    held = plan.datasets["held-out"].rows
    assert held is not None
    assert held.mid == 2 * 0.1 * 6000


@pytest.mark.parametrize(
    ("rl", "rows", "passes"), [("orpo", 2, 0), ("simpo", 2, 0), ("kto", 1, 3), ("ipo", 2, 1), ("dpo", 2, 1)]
)
def test_objectives_by_their_passes(rl: str, rows: int, passes: int) -> None:
    text = f"base_model: Qwen/Qwen2-0.5B\nrl: {rl}\nmicro_batch_size: 3\ndatasets: [{{path: a}}]\nnum_epochs: 1\n"
    plan = plan_from_tree(read(text, samples="100", gpu="T4").plan, "x").plan
    recipe = plan.experiments[0].stages[0].recipe
    assert (recipe.micro_batch, recipe.forward_passes) == (3 * rows, passes)


def test_a_reward_model_trains_on_pairs_without_a_reference() -> None:
    text = "base_model: Qwen/Qwen3-8B\nreward_model: true\nmicro_batch_size: 1\ndatasets: [{path: a}]\nnum_epochs: 1\n"
    found = read(text, samples="100", gpu="T4")
    recipe = plan_from_tree(found.plan, "x").plan.experiments[0].stages[0].recipe
    assert (recipe.micro_batch, recipe.forward_passes) == (2, 0)


def test_online_learning_generates_in_rounds_and_then_trains() -> None:
    """2,000 prompts x 8 completions x 2 epochs over 4 x 8 x 4 = 128 rows a step are 250 steps; 128 at once on 4 GPUs is
    one round for each step, so that each GPU draws 250 completions of the full length."""
    plan = plan_from_tree(sample("swift", gpu="H100 SXM").plan, "x").plan
    generation, training = plan.experiments[0].stages
    assert generation.generate is not None
    assert generation.generate.total == 250 * 4
    assert generation.generate.tokens is not None
    assert generation.generate.tokens.mid == 1024
    rows = plan.datasets["training"].rows
    assert rows is not None
    assert rows.mid == 16000
    assert training.recipe.forward_passes == 0  # beta is 0


# ---- what is given, asked, refused


def test_what_is_given_goes_before_what_the_file_says() -> None:
    found = sample("trl", gpu="A100 SXM 80GB", gpus="8", epochs="2", samples="5k", tokens_per_sample="300")
    plan = plan_from_tree(found.plan, "x").plan
    stage = plan.experiments[0].stages[0]
    assert stage.steps is None
    assert stage.epochs is not None
    assert stage.epochs.mid == 2
    assert stage.gpus is not None
    assert stage.gpus.mid == 8
    length = plan.datasets["training"].length
    assert length is not None
    assert length.mid == 300


def test_what_is_missing_is_asked_for_by_name() -> None:
    found = read("per_device_train_batch_size: 2\nlearning_rate: 1e-5\noutput_dir: x\nmax_steps: 10\n")
    assert [ask.key for ask in found.asks] == ["model", "gpu"]
    found = read("model_name_or_path: a/b-7b\nlearning_rate: 1e-5\noutput_dir: x\nnum_train_epochs: 2\n")
    assert [ask.key for ask in found.asks] == ["gpu", "samples"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.yaml", "model_name_or_path: a/b\nadapter_name_or_path: c\ntemplate: qwen\ninfer_backend: vllm\n"),
        ("x.yaml", "model_name_or_path: a/b\ntemplate: llama3\nfinetuning_type: lora\nexport_dir: out\n"),
        ("x.yaml", "model_name_or_path: a\nstage: sft\ndo_predict: true\ntemplate: x\neval_dataset: d\n"),
        ("x.yaml", "model:\n  _component_: torchtune.models.llama2.llama2_7b\nprompt: hello\n"),
        ("x.sh", "swift infer --model a/b --stream true\n"),
        ("x.sh", "CUDA_VISIBLE_DEVICES=0 swift export --model a/b --quant_bits 4\n"),
        ("x.sh", "axolotl train examples/llama/lora.yml\n"),
        ("x.sh", "accelerate launch -m axolotl.cli.train cfg.yml\n"),
    ],
)
def test_a_file_that_trains_nothing_is_refused_with_what_to_give(name: str, text: str) -> None:
    with pytest.raises(PlanError, match="a training configuration is needed") as refused:
        imported(name, text)
    assert refused.value.hint


def test_headways_own_plans_and_unknown_files_are_left_alone() -> None:
    assert imported("plan.yaml", "headway: 1\nbase_model: x\nmicro_batch_size: 2\ndatasets: []\n") is None
    assert imported("notes.yaml", "shopping: [milk, bread]\n") is None
    assert imported("notes.md", "# Notes\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n") is None
    assert imported("x.json", "[1, 2]") is None


def test_a_side_file_is_read_where_a_configuration_names_it(tmp_path: Path) -> None:
    (tmp_path / "ds.json").write_text('{"zero_optimization": {"stage": 1}, "tensor_parallel": {"autotp_size": 2}}')
    config = tmp_path / "run.yaml"
    config.write_text(
        "model_name_or_path: Qwen/Qwen2-0.5B\nstage: sft\ndeepspeed: ds.json\nmax_steps: 5\nfinetuning_type: full\n"
    )
    found = read_import(config, {"gpus": "4"})
    assert found is not None
    assert fields(found)["parallel"] == "zero1"
    assert fields(found)["tensor"] == "2"


def test_an_accelerate_file_beside_a_recipe_is_read_with_it(tmp_path: Path) -> None:
    (tmp_path / "accelerate_config.yaml").write_text((SAMPLES / "accelerate.yaml").read_text())
    config = tmp_path / "config_full.yaml"
    config.write_text("model_name_or_path: Qwen/Qwen2-0.5B\nper_device_train_batch_size: 2\nmax_steps: 5\n")
    found = read_import(config)
    assert found is not None
    said = fields(found)
    assert (said["gpus"], said["parallel"], said["gradient_checkpointing"]) == ("4", "zero2", "full")


# ---- tables


def test_a_table_of_sums_is_not_counted_once_more() -> None:
    text = "## Runs\n\n| run | hours |\n| - | - |\n| a | 1 |\n| b | 2 |\n\n"
    text += "## Summary\n\n| phase | hours |\n| - | - |\n| all | 3 |\n"
    found = imported("x.md", text, given={"gpu": "RTX 4090"})
    assert found is not None
    assert [item.name for item in plan_from_tree(found.plan, "x.md").plan.experiments] == ["a", "b"]
    assert any("line 10" in note for note in found.notes)
    alone = imported("x.md", text[text.index("## Summary") :], given={"gpu": "RTX 4090"})
    assert alone is not None
    assert [item.name for item in plan_from_tree(alone.plan, "x.md").plan.experiments] == ["all"]


def test_gpus_of_a_row_and_counts_that_are_no_names() -> None:
    text = "| Phase | Runs | GPUs | GPU-hours |\n|---|---|---|---|\n| train | 3 | 8 | 4 |\n| prepare | 1 | 0 | 1 |\n"
    found = imported("x.md", text, given={"gpu": "RTX 4090"})
    assert found is not None
    plan = plan_from_tree(found.plan, "x.md").plan
    assert [item.name for item in plan.experiments] == ["train", "prepare"]
    assert [stage.by for item in plan.experiments for stage in item.stages] == ["gpu", "cpu"]
    wall = str(found.plan["experiments"]["train"]["stated"]["wall"])  # type: ignore[index,call-overload]
    assert wall == "0.5 h"  # 4 GPU-hours on 8 GPUs


def test_a_table_without_hours_becomes_training_runs() -> None:
    text = (
        "| Run | Model | Dataset | Samples | Epochs | BS | GPUs | Seq len | LR | Notes |\n|-|-|-|-|-|-|-|-|-|-|\n"
        "| small | Qwen/Qwen2-0.5B | acme/a | 20k | 3 | 8 | 1 | 1024 | 2e-4 | x |\n"
        "| large | Qwen/Qwen2-1.5B | acme/b | 52,000 | 2 | 4 x 2 | 4 | 2k | 1e-4 | y |\n"
    )
    found = read(text, "x.md", gpu="RTX 4090")
    plan = plan_from_tree(found.plan, "x.md").plan
    small, large = (item.stages[0] for item in plan.experiments)
    assert small.model is not None and large.model is not None
    assert (small.model.use, large.model.use) == ("Qwen/Qwen2-0.5B", "Qwen/Qwen2-1.5B")
    cut = [(one.recipe.micro_batch, one.recipe.grad_accum, one.recipe.max_length) for one in (small, large)]
    assert cut == [(8, 1, 1024), (4, 2, 2048)]
    assert [str(found.plan["experiments"][id_]["data"]["rows"]) for id_ in ("small", "large")] == ["20k", "52000"]  # type: ignore[index,call-overload]
    assert {one.field for one in found.read} == {
        "name", "model", "data", "rows", "epochs", "batch", "gpus", "max_length", "learning_rate"
    }  # fmt: skip
    assert [one.key for one in found.not_read] == ["Notes"]
    assert (found.notes, found.asks) == ((), ())


@pytest.mark.parametrize(
    ("heading", "cell", "key", "value"),
    [
        ("Sequence length", "512", "max_length", "512"), ("Max length", "4,096", "max_length", "4096"),
        ("max_seq_length", "4k", "max_length", "4096"), ("Batch size", "16", "micro_batch", "16"),
        ("Effective batch size", "64", "batch", "64"), ("Grad accum steps", "4", "grad_accum", "4"),
        ("Learning rate", "1e-5", "learning_rate", "1e-5"), ("GPUs", "8", "gpus", "8"),
        ("Hours", "2.5", "stated", "2.5 h"), ("GPU hours", "5", "stated", "5 h"),
        ("Rows", "1.5M", "data", "1.5M"), ("# Examples", "900", "data", "900"),
    ],
)  # fmt: skip
def test_columns_keep_what_they_say_beside_steps(heading: str, cell: str, key: str, value: str) -> None:
    table = f"| Run | Steps | {heading} |\n|-|-|-|\n| a | 1k | {cell} |\n"
    found = read(table, "x.md", gpu="RTX 4090", model="Qwen/Qwen2-0.5B")
    entry = found.plan["experiments"]["a"]  # type: ignore[index,call-overload]
    kept = entry[key].get({"stated": "wall", "data": "rows"}[key]) if key in ("stated", "data") else entry[key]
    assert (str(entry["steps"]), str(kept)) == ("1k", value)
    assert len(found.read) == 3
    assert not found.not_read
    assert bool(found.notes) == (key == "stated")
    assert plan_from_tree(found.plan, "x.md").plan.experiments


def test_what_a_table_lacks_is_asked_and_what_is_lost_is_not_read() -> None:
    found = read("| Run | Steps | Epochs | Batch |\n|-|-|-|-|\n| a | 10 | 1 | auto |\n", "x.md")
    assert [ask.key for ask in found.asks] == ["model", "gpu"]
    assert {one.field for one in found.read} == {"name", "steps"}
    assert [one.key for one in found.not_read] == ["Epochs", "Batch"]
    asked = read("| Model | Epochs |\n|-|-|\n| Qwen/Qwen2-0.5B | 3 |\n", "x.md", gpu="RTX 4090")
    assert [ask.key for ask in asked.asks] == ["samples"]


# ---- the plan's own key


def test_forward_passes_are_part_of_what_an_experiment_is() -> None:
    plain = {"model": "Qwen/Qwen2-0.5B", "data": {"rows": "10", "length": "100"}, "steps": "5"}
    plans = [plan_from_mapping({**plain, **more}).plan for more in ({}, {"forward_passes": 0}, {"forward_passes": 1})]
    assert [plan.experiments[0].stages[0].recipe.forward_passes for plan in plans] == [0, 0, 1]
    assert plans[0].fingerprint == plans[1].fingerprint != plans[2].fingerprint
    with pytest.raises(PlanError, match="forward_passes"):
        _ = plan_from_mapping({**plain, "forward_passes": "often"}).plan


def test_a_plan_without_its_first_line_is_left_to_its_reader() -> None:
    text = "model: Qwen/Qwen2-0.5B\nlearning_rate: 1e-4\nweight_decay: 0.1\ngradient_checkpointing: full\nseed: 1\n"
    assert imported("plan.yaml", text) is None
    assert imported("plan.yaml", "learning_rate: 1\nwarmup_steps: 2\nmicro_batch: 2\ngrad_accum: 4\n") is None
