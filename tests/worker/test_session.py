"""One model in training: what it computes, against torch by hand; what it saves; what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from headway.domain.errors import UserError
from headway.worker.task import SCHEMA, Model, read_task
from headway.worker.training import checkpoint, models
from headway.worker.training import session as sessions
from headway.worker.training import weights as made
from headway.worker.training.checkpoint import MANIFEST, checkpoints, is_complete, newest_complete, write_folder
from headway.worker.training.models import configuration
from headway.worker.training.rows import Row
from headway.worker.training.session import Session, is_out_of_memory

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
RECIPE = {"precision": "fp32", "learning_rate": 0.01}


def session_of(config: dict[str, Any], **more: Any) -> Session:
    said = {"schema": SCHEMA, "model": {"config": config}, "data": {"lengths": [3]}, "steps": 10, "device": "cpu",
            "threads": 1, "recipe": RECIPE}  # fmt: skip
    found = Session(read_task(json.dumps(said | more)))
    found.load()
    return found


def row(*ids: int) -> Row:
    return np.array(ids, dtype=np.int64)


SHORT, LONG, OTHER = row(5, 6, 7), row(8, 9, 10, 11, 12), row(13, 14)


def weights(session: Session) -> dict[str, torch.Tensor]:
    return {name: one.detach().clone() for name, one in session._kept().items()}


def by_hand(config: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(configuration(config), dtype=torch.float32)
    return model.train()


def loss_by_hand(model: Any, rows: list[Row]) -> torch.Tensor:
    """Each row by itself, without padding: the mean over all predicted tokens."""
    total, count = torch.zeros(()), 0
    for one in rows:
        ids = torch.from_numpy(one)[None]
        logits = model(input_ids=ids).logits[0, :-1]
        total = total + torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum")
        count += len(one) - 1
    return total / count


def test_a_step_is_the_one_that_torch_takes_by_hand(small: dict[str, Any]) -> None:
    session, model = session_of(small, recipe=RECIPE | {"optimizer": "sgd"}), by_hand(small)
    took = session.step([(SHORT, LONG), (OTHER,)])
    loss = loss_by_hand(model, [SHORT, LONG, OTHER])
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    torch.optim.SGD(model.parameters(), lr=0.01).step()
    assert took.loss == pytest.approx(loss.item(), rel=1e-5)
    for name, one in model.named_parameters():
        torch.testing.assert_close(weights(session)[name], one.detach(), rtol=1e-5, atol=1e-7)


def test_a_step_counts_what_is_computed(small: dict[str, Any]) -> None:
    took = session_of(small).step([(SHORT, LONG), (OTHER,)])
    assert (took.rows, took.tokens, took.squares, took.longest, took.micro_steps) == (3, 12, 2 * 25 + 4, 5, 2)
    assert 0 < took.wait_s < took.seconds
    assert took.device_s is None


def test_the_learning_rate_falls_to_nothing(small: dict[str, Any]) -> None:
    session = session_of(small, steps=4)
    rates = [session.step([(LONG,)]).learning_rate for _ in range(5)]
    assert rates == pytest.approx([0.01, 0.0075, 0.005, 0.0025, 0.0])


def test_an_evaluation_changes_nothing(small: dict[str, Any]) -> None:
    session = session_of(small, evaluation={"every_steps": 1, "rows": 3, "rows_at_a_time": 2})
    before = weights(session)
    seen = session.evaluate((SHORT, LONG, OTHER))
    assert (seen.rows, seen.tokens) == (3, 12)
    assert seen.loss == pytest.approx(loss_by_hand(by_hand(small), [SHORT, LONG, OTHER]).item(), rel=1e-5)
    assert all(torch.equal(before[name], one) for name, one in weights(session).items())
    assert session._model.training


def test_a_row_that_predicts_nothing_teaches_nothing(small: dict[str, Any]) -> None:
    session = session_of(small)
    assert session.step([(row(5),)]).loss == 0.0
    assert all(torch.isfinite(one).all() for one in weights(session).values())


def test_passes_that_make_kernels_move_nothing(small: dict[str, Any]) -> None:
    session = session_of(small | {"attention_dropout": 0.3})
    before, state = weights(session), torch.get_rng_state()
    assert session.compile([(SHORT, LONG), (OTHER,)], [SHORT]) > 0
    assert all(torch.equal(before[name], one) for name, one in weights(session).items())
    assert all(one.grad is None for one in session._model.parameters())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("recipe", "held", "wide"),
    [
        ({"precision": "bf16"}, torch.bfloat16, None),
        ({"precision": "bf16", "rank": 4}, torch.bfloat16, torch.float32),
        ({"precision": "fp16", "rank": 4}, torch.float16, torch.float32),
        ({"precision": "fp16"}, torch.float32, None),
        ({"precision": "bf16", "master_weights": True}, torch.float32, None),
        ({"precision": "bf16", "master_weights": True, "rank": 4}, torch.bfloat16, torch.float32),
        ({"precision": "fp32", "rank": 4, "targets": ["q_proj"], "checkpointing": "full"}, torch.float32, None),
    ],
)
def test_weights_lie_in_the_recipes_format_and_adapters_in_fp32(
    small: dict[str, Any], recipe: dict[str, Any], held: torch.dtype, wide: torch.dtype | None
) -> None:
    session = session_of(small, recipe=RECIPE | recipe)
    base = {one.dtype for name, one in session._model.named_parameters() if "lora" not in name}
    assert base == {held}
    if recipe.get("rank"):
        trained = {name for name, one in session._model.named_parameters() if one.requires_grad}
        assert trained
        assert all("lora" in name for name in trained)
        assert {one.dtype for one in weights(session).values()} == {wide or held}
    before = weights(session)
    losses = [session.step([(SHORT, LONG)]).loss for _ in range(8)]  # fp16's scale is too large for the first ones
    assert losses[0] == pytest.approx(5.7, abs=0.1)  # ln 300
    assert losses[-1] < losses[0]
    assert any(not torch.equal(before[name], one) for name, one in weights(session).items())


def test_master_weights_are_16_bytes_a_parameter_under_16_bit_arithmetic(small: dict[str, Any]) -> None:
    session = session_of(small, recipe=RECIPE | {"precision": "bf16", "master_weights": True})
    session.step([(SHORT, LONG)])
    parameters = sum(one.numel() for one in session._model.parameters())
    assert session.final_bytes() == 4 * parameters
    assert session.checkpoint_bytes() == pytest.approx(12 * parameters, rel=0.01)  # and 4 of gradients in a step
    with session._autocast():
        assert (session._model.lm_head.weight @ torch.ones(32)).dtype == torch.bfloat16
    with session_of(small, recipe=RECIPE | {"master_weights": True})._autocast():
        assert not torch.is_autocast_enabled("cpu")  # all is in fp32 anyway


def test_only_what_is_trained_has_master_weights(small: dict[str, Any]) -> None:
    session = session_of(small, recipe=RECIPE | {"precision": "bf16", "master_weights": True, "freeze": 1})
    named = dict(session._model.named_parameters())
    narrow = {name for name, one in named.items() if one.dtype == torch.bfloat16}
    assert narrow == {name for name, one in named.items() if not one.requires_grad and one.dim() > 1}
    assert "model.embed_tokens.weight" in narrow
    losses = [session.step([(SHORT, LONG)]).loss for _ in range(4)]
    assert losses[-1] < losses[0]


def test_adapters_drop_some_of_their_inputs(small: dict[str, Any]) -> None:
    session = session_of(small, recipe=RECIPE | {"rank": 4, "dropout": 0.25})
    dropped = [one for one in session._model.modules() if isinstance(one, torch.nn.Dropout)]
    assert {one.p for one in dropped} == {0.25}
    assert all(one.training for one in dropped)


@pytest.mark.parametrize("name", ["activation_checkpointing_enable", "gradient_checkpointing_enable"])
def test_blocks_are_recomputed_so_that_frozen_ones_may_lie_before_them(name: str) -> None:
    asked: list[Any] = []
    models._checkpoint(SimpleNamespace(**{name: asked.append}))
    assert asked == [{"use_reentrant": False}]


def test_leading_blocks_are_frozen(small: dict[str, Any]) -> None:
    session = session_of(small, recipe=RECIPE | {"freeze": 1, "checkpointing": "full"})
    before = weights(session)
    session.step([(SHORT, LONG)])
    moved = {name for name, one in weights(session).items() if not torch.equal(before[name], one)}
    assert moved == {name for name in before if "layers.0." not in name and "embed" not in name}
    with pytest.raises(UserError, match="a block must be left to train, got 2 frozen of 2"):
        session_of(small, recipe=RECIPE | {"freeze": 2})


@pytest.mark.parametrize(
    "recipe",
    [
        *({"optimizer": name} for name in ("adamw", "adam", "sgd", "momentum", "adafactor")),
        {"optimizer": "adafactor", "precision": "bf16"},  # its states are wider than the weights
        {"precision": "fp16"},  # with the scale of its gradients
        {"rank": 4},
        {"rank": 4, "precision": "bf16", "checkpointing": "full"},
    ],
    ids=str,
)
def test_what_is_resumed_goes_on_bitwise(small: dict[str, Any], tmp_path: Path, recipe: dict[str, Any]) -> None:
    recipe = RECIPE | recipe
    dropping = small | {"attention_dropout": 0.3}  # the random state is part of it
    first, second = (session_of(dropping, recipe=recipe) for _ in range(2))
    for _ in range(2):
        first.step([(SHORT, LONG)])
    assert first.save(tmp_path).bytes > 0
    wanted = [first.step([(LONG, OTHER)]).loss for _ in range(3)]
    torch.manual_seed(99)
    assert second.resume(tmp_path) is not None
    assert second.done == 2
    assert [second.step([(LONG, OTHER)]).loss for _ in range(3)] == wanted
    assert all(torch.equal(weights(first)[name], one) for name, one in weights(second).items())


def test_tied_weights_are_saved_once_and_stay_tied(small: dict[str, Any], tmp_path: Path) -> None:
    session = session_of(small | {"tie_word_embeddings": True})
    session.step([(SHORT,)])
    session.save(tmp_path)
    again = session_of(small | {"tie_word_embeddings": True})
    again.resume(tmp_path)
    assert again._model.lm_head.weight is again._model.get_input_embeddings().weight
    assert "lm_head.weight" not in again._kept()
    assert all(torch.equal(weights(session)[name], one) for name, one in weights(again).items())


def test_another_models_checkpoint_is_refused(small: dict[str, Any], tmp_path: Path) -> None:
    session_of(small).save(tmp_path)
    with pytest.raises(UserError, match="must be of the same model, got checkpoint-0"):
        session_of(small | {"hidden_size": 16}).resume(tmp_path)


@pytest.mark.parametrize("rank", [0, 4])
def test_what_is_saved_last_is_what_the_libraries_load(small: dict[str, Any], tmp_path: Path, rank: int) -> None:
    session = session_of(small, recipe=RECIPE | {"rank": rank})
    session.step([(SHORT, LONG)])
    session.save_final(tmp_path)
    assert is_complete(tmp_path / "final")
    if rank:
        from peft import PeftModel

        found = PeftModel.from_pretrained(by_hand(small), tmp_path / "final")
        found = {name: one for name, one in found.named_parameters() if "lora" in name}
    else:
        again = session_of(small, model={"place": str(tmp_path / "final")})
        found = weights(again)
    assert all(torch.equal(found[name], one) for name, one in weights(session).items())


def test_weights_of_a_folder_are_read(small: dict[str, Any], tmp_path: Path) -> None:
    model = by_hand(small)
    model.save_pretrained(tmp_path)
    session = session_of({}, model={"place": str(tmp_path)}, seed=5)
    assert session.vocabulary == 300
    for name, one in model.named_parameters():
        assert torch.equal(weights(session)[name], one)
    assert session.load().bytes == (tmp_path / "model.safetensors").stat().st_size
    (tmp_path / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(UserError, match="must be able to load the weights") as refusal:
        session.load()
    assert "\n" not in str(refusal.value)


def test_weights_that_lie_there_twice_are_counted_once(tmp_path: Path) -> None:
    for name in ("consolidated.safetensors", "model-1.safetensors", "model-2.safetensors"):
        (tmp_path / name).write_bytes(b"x")

    def names() -> list[str]:
        return [path.name for path in made.weight_files(Model(place=str(tmp_path)))]

    assert len(names()) == 3  # nothing says which
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    assert names() == ["model-1.safetensors", "model-2.safetensors"]
    (tmp_path / "model.safetensors.index.json").write_text("[]", encoding="utf-8")
    assert len(names()) == 3
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert names() == ["model.safetensors"]


def test_random_weights_to_be_quantised_lie_in_the_runs_folder_where_they_have_room(
    small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, seen = tmp_path / "run", []

    def loaded(folder: str, setup: models.Setup, device: torch.device, quantization: Any) -> str:
        assert (Path(folder) / "model.safetensors").is_file()
        seen.append(Path(folder).parent)
        return "loaded"

    monkeypatch.setattr(made, "_from_folder", loaded)
    said = {"schema": SCHEMA, "model": {"config": small}, "data": {"lengths": [3]}, "steps": 1, "out": str(place)}
    setup = models.Setup(config=small, head="lm", batch=1, seq=0, dtype="bf16", attention="sdpa", checkpointing="none")
    assert made._drawn(read_task(json.dumps(said)), setup, torch.device("cpu"), None) == "loaded"
    assert seen == [place]
    assert not list(place.iterdir())
    monkeypatch.setattr(made, "free_disk_bytes", lambda folder: 1000)
    with pytest.raises(UserError, match=r"must be written once, got \d+.* kB, and 1 kB are free"):
        made._drawn(read_task(json.dumps(said)), setup, torch.device("cpu"), None)
    assert seen == [place]


def test_a_gpus_context_belongs_to_the_start(small: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(sessions, "_device", lambda asked: torch.device("cuda", 0))
    monkeypatch.setattr(torch, "zeros", lambda *size, device: done.append(f"memory of {device}"))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: done.append("waited"))
    said = {"schema": SCHEMA, "model": {"config": small}, "data": {"lengths": [3]}, "steps": 1}
    Session(read_task(json.dumps(said)))
    assert done == ["memory of cuda:0", "waited"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"model": {"place": "no/such/folder"}}, "a model's place must be a folder, or -, got folder"),
        ({"recipe": {"rank": 4, "quantize": "nf4"}}, "needs the package bitsandbytes"),
        ({"recipe": {"optimizer": "adamw_8bit"}}, "needs the package bitsandbytes"),
        ({"recipe": {"optimizer": "muon"}}, "must be one that is trained with here, got muon"),
        ({"recipe": {"attention": "flash"}}, "transformers must be able to make the model"),
        ({"device": "cuda"}, "torch sees no GPU"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(
    small: dict[str, Any], more: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setitem(__import__("sys").modules, "bitsandbytes", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError) as refusal:
        session_of(small, **more)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


# ---- checkpoints that are whole or not there


def written(folder: Path, step: int) -> Path:
    place = folder / f"checkpoint-{step}"
    write_folder(place, lambda beside: (beside / "a").write_bytes(b"abc") and None, {"step": step})
    return place


def test_only_a_whole_checkpoint_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third, fourth = (written(tmp_path, step) for step in (9, 10, 11, 100))
    (fourth / "a").write_bytes(b"abd")
    (third / "a").unlink()
    (second / MANIFEST).write_text("{", encoding="utf-8")
    (tmp_path / "checkpoint-200.partial").mkdir()
    assert newest_complete(tmp_path) == first
    assert capsys.readouterr().err.count("is not whole and is passed over") == 3
    assert newest_complete(tmp_path / "none") is None


def test_an_interrupted_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = written(tmp_path, 1)

    def full(beside: Path) -> None:
        (beside / "a").write_bytes(b"new")
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="must be written, got No space left on device"):
        write_folder(place, full, {})
    assert (place / "a").read_bytes() == b"abc"
    assert is_complete(place)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-1"]

    def killed(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        written(tmp_path, 2)
    assert newest_complete(tmp_path) == place


def test_the_oldest_checkpoints_go(small: dict[str, Any], tmp_path: Path) -> None:
    session = session_of(small)
    for _ in range(4):
        session.step([(SHORT,)])
        session.save(tmp_path, keep=2)
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-4", "checkpoint-3"]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_step_that_ran_out_of_memory_leaves_nothing_half_done(
    small: dict[str, Any], monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    session = session_of(small, recipe=RECIPE | {"precision": precision})

    def full(parameters: list[Any], limit: float) -> None:
        session._optimizer.state[parameters[0]]["step"] = torch.zeros(())  # and no room for its moments
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patched, pytest.raises(torch.OutOfMemoryError):
        patched.setattr(torch.nn.utils, "clip_grad_norm_", full)
        session.step([(SHORT, LONG)])
    session.recover()
    assert all(one.grad is None for one in session._model.parameters())
    losses = [session.step([(SHORT, LONG)]).loss for _ in range(8)]
    assert losses[-1] < losses[0]
    assert all("exp_avg_sq" in state for state in session._optimizer.state.values())


def test_memory_that_ran_out_is_told_from_other_faults() -> None:
    assert is_out_of_memory(RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later"))
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"))
    assert not is_out_of_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(RuntimeError) as fault:
        torch.empty(1 << 60)
    assert is_out_of_memory(fault.value)
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
