"""The verb `trace` around its worker: what is asked of it, what its failures become, what the page says."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from headway.app import trace as verb
from headway.app import worker
from headway.app.trace import Asked, trace_model, trace_plan
from headway.domain.errors import UsageError, UserError
from headway.domain.experiment import Adapter, Recipe
from headway.report.render import FORMATS, text
from headway.report.view import Layout, Page

QWEN_HEAD = ["-", "--head", "lm", "--batch", "2", "--seq", "256", "--dtype", "bf16", "--attention", "sdpa"]
# of a real trace: Qwen2-0.5B, 2 x 256 tokens, LoRA of rank 4 on q and v
TRACE: dict[str, Any] = {
    "schema": "headway.trace/1",
    "model": {"class": "Qwen2ForCausalLM", "type": "qwen2"},
    "environment": {"torch": "2.13.0", "transformers": "5.23.0", "peft": "0.21.2"},
    "parameters": {"total": 494_032_768, "trainable": 270_336},
    "flop": {"forward": 517_367_398_400, "backward": 533_491_351_552, "recompute": 0, "total": 1_050_858_749_952},
    "memory_bytes": {
        "weights": 988_065_536, "adapters": 1_081_344, "gradients": 1_081_344, "optimizer": 2_162_688,
        "activations": 584_514_112, "outside_blocks": 313_006_084, "peak": 2_511_155_784,
    },
}  # fmt: skip


class Worker:
    """Takes the place of the process; keeps what it was asked."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer, self.words, self.given = answer, [""], ""

    def __call__(self, program: str, words: list[str], given: str = "") -> dict[str, Any]:
        self.words, self.given = list(words), given
        return self.answer


@pytest.fixture
def asked_worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    found = Worker(TRACE)
    monkeypatch.setattr(verb, "run_worker", found)
    return found


def shown(page: Page) -> str:
    return "".join(FORMATS["table"](page, Layout(width=100)))


ASKED = Asked(lora=4, targets=("q", "v"), batch=2, seq="256")


def test_the_worker_is_asked_for_what_the_flags_say(asked_worker: Worker) -> None:
    trace_model("Qwen/Qwen2-0.5B", ASKED)
    assert asked_worker.words[:11] == QWEN_HEAD
    assert asked_worker.words[11:16] == ["--checkpointing", "none", "--rank", "4", "--targets"]
    queries, values = asked_worker.words[16:]
    assert {"q_proj", "query"} <= set(queries.split("|"))
    assert {"v_proj", "value"} <= set(values.split("|"))
    assert not set(queries.split("|")) & set(values.split("|")) - {
        "c_attn", "query_key_value", "qkv_proj", "in_proj", "Wqkv"
    }  # fmt: skip
    config = json.loads(asked_worker.given)
    assert (config["model_type"], config["num_hidden_layers"]) == ("qwen2", 24)


def test_nothing_said_is_one_row_of_512_tokens_with_all_weights(asked_worker: Worker) -> None:
    trace_model("Qwen/Qwen2-0.5B", Asked())
    assert "--rank" not in asked_worker.words
    assert asked_worker.words[3:7] == ["--batch", "1", "--seq", "512"]


def test_a_module_name_stays_what_it_is(asked_worker: Worker) -> None:
    trace_model("Qwen/Qwen2-0.5B", Asked(lora=4, targets=("q_proj", "all-linear")))
    assert asked_worker.words[-2:] == ["q_proj", "all-linear"]


def test_a_folder_is_given_as_it_is(asked_worker: Worker, tmp_path: Path) -> None:
    trace_model("Qwen/Qwen2-0.5B", ASKED)
    config = json.loads(asked_worker.given)
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    page = trace_model(str(tmp_path), ASKED)
    assert (asked_worker.words[0], asked_worker.given) == (str(tmp_path), "")
    assert "catalog" not in shown(page)


def test_the_page_says_whether_the_formulas_hold(asked_worker: Worker) -> None:
    page = trace_model("Qwen/Qwen2-0.5B", ASKED)
    said = shown(page)
    assert "LoRA of rank 4 on q, v, 2 × 256 tokens, bf16, sdpa" in said
    assert "Qwen2ForCausalLM of transformers 5.23.0" in said
    assert "The formulas agree with the model" in said
    assert "as a qwen2 of that shape" in said
    assert page.document()["agrees"] is True


def test_the_page_names_the_row_that_differs(asked_worker: Worker) -> None:
    asked_worker.answer = TRACE | {"flop": TRACE["flop"] | {"backward": 1_000_000_000_000}}
    page = trace_model("Qwen/Qwen2-0.5B", ASKED)
    said = " ".join(shown(page).split())
    assert "differ from the model: backward -46.7 % (1 % allowed)." in said
    rows = {row["quantity"]: row for row in page.document()["rows"]}
    assert [name for name, row in rows.items() if not row["agrees"]] == ["backward"]
    assert list(page.rows()) == list(rows.values())


def test_every_format_can_be_made(asked_worker: Worker) -> None:
    page = trace_model("Qwen/Qwen2-0.5B", ASKED)
    for name, render in FORMATS.items():
        assert "trained parameters" in "".join(render(page, Layout())), name
    assert "trained parameters" in text(page.view(), "md")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (Asked(lora=4, full=True), "one way"),
        (Asked(targets=("q",)), "Add --lora RANK"),
        (Asked(seq="long"), "--seq takes a count"),
        (Asked(dtype="fp8"), "bf16, fp16 or fp32"),
        (Asked(lora=4, targets=("nothing",)), "nothing"),
    ],
)
def test_flags_that_cannot_be_are_refused(asked_worker: Worker, asked: Asked, says: str) -> None:
    with pytest.raises(UserError) as refusal:
        trace_model("Qwen/Qwen2-0.5B", asked)
    assert says in str(refusal.value)
    assert asked_worker.words == [""]


def test_a_model_that_no_row_describes_is_refused(asked_worker: Worker) -> None:
    with pytest.raises(UserError, match=r"config\.json"):
        trace_model("google/t5-v1_1-small", Asked())


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        (Recipe(quantize="nf4", adapter=Adapter()), "nf4"),
        (Recipe(optimizer="adafactor"), "AdamW"),
        (Recipe(grad_accum=4), "One pass"),
        (Recipe(attention="flash_attention_2"), ""),
    ],
)
def test_what_a_trace_leaves_out_is_said(recipe: Recipe, says: str) -> None:
    plain, remarks = verb._traceable(recipe)
    assert (plain.quantize, plain.optimizer, plain.grad_accum, plain.attention) == ("none", "adamw", 1, "sdpa")
    assert [says in remark for remark in remarks] == ([True] if says else [])


@pytest.mark.parametrize(
    "recipe", [Recipe(gradient_checkpointing="selective"), Recipe(freeze=2), Recipe(adapter=Adapter(method="dora"))]
)
def test_what_a_trace_cannot_run_is_refused(recipe: Recipe) -> None:
    with pytest.raises(UserError):
        verb._traceable(recipe)


PLAN = """\
headway: 1
name: small
model: Qwen/Qwen2-0.5B
adapter: {method: lora, rank: 4, targets: [q, v]}
micro_batch: 2
max_length: 256
data: {rows: 80k, length: 500}
matrix: {steps: [1k, 2k]}
run:
  machine: {gpu: RTX 4090}
"""


def test_a_plan_is_traced_at_its_longest_row(asked_worker: Worker, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(PLAN, encoding="utf-8")
    trace_plan(str(file), "small/2k")
    assert asked_worker.words[:11] == QWEN_HEAD
    assert trace_plan(str(file)).view().next_command == f"headway estimate {file}"


def test_an_unknown_experiment_lists_those_of_the_plan(asked_worker: Worker, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(PLAN, encoding="utf-8")
    with pytest.raises(UsageError, match=r"small/1k, small/2k"):
        trace_plan(str(file), "small/3k")


# ---- the process


def scripted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str) -> None:
    """Lets an interpreter that runs `code` stand for Python with the worker."""
    fake = tmp_path / "python"
    # by way of a shell: the interpreter's own path may hold a space, which a first line cannot
    program = shlex.quote(f"import sys\n{code}\n")
    fake.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {program} "$@"\n', encoding="utf-8")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))


def test_the_last_line_of_the_worker_is_its_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scripted(monkeypatch, tmp_path, "print('noise'); print('{\"words\": \"' + ' '.join(sys.argv[1:]) + '\"}')")
    assert worker.run_worker("trace", ["-"], "{}") == {"words": "-m headway.worker.trace -"}


@pytest.mark.parametrize(("code", "kind"), [(1, UserError), (2, UsageError)])
def test_what_the_worker_says_is_the_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, kind: type[UserError]
) -> None:
    scripted(monkeypatch, tmp_path, f"print('noise\\nerror: no torch', file=sys.stderr); sys.exit({code})")
    with pytest.raises(UserError) as refusal:
        worker.run_worker("trace", [])
    assert type(refusal.value) is kind
    assert str(refusal.value) == "no torch"


def test_a_worker_that_dies_silently_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scripted(monkeypatch, tmp_path, "sys.exit(9)")
    with pytest.raises(UserError, match="ended with 9"):
        worker.run_worker("trace", [])
