"""What `headway init` writes is a valid plan that says what was asked for."""

from __future__ import annotations

import pytest

from headway.domain.errors import PlanError, UsageError
from headway.plan import commented_plan, read_plan


@pytest.mark.parametrize("method", ["lora", "qlora", "full"])
def test_it_loads_and_says_what_was_asked_for(method: str) -> None:
    text = commented_plan(
        name="night run", model="./models/my: model", gpu="A100 SXM 80GB", method=method, rank=16, rows="304k",
        length="200-300", batch=4, steps="10k",
    )  # fmt: skip
    assert text.startswith("# yaml-language-server: $schema=plan.schema.json\n")
    plan = read_plan("p.yaml", text=text).plan
    (stage,) = plan.experiments[0].stages
    assert plan.name == "night run"
    assert stage.model is not None
    assert stage.model.use == "./models/my: model"
    assert (stage.recipe.adapter.rank if stage.recipe.adapter else None) == (None if method == "full" else 16)
    assert stage.recipe.quantize == ("nf4" if method == "qlora" else "none")
    assert (stage.recipe.micro_batch, stage.steps and stage.steps.mid) == (4, 10_000)
    rows, length = plan.datasets["data"].rows, plan.datasets["data"].length
    assert (rows and rows.mid, length and length.mid) == (304_000, 250)
    assert plan.run.machine == "A100 SXM 80GB"


def test_its_comments_are_plan_lines_too() -> None:
    lines = commented_plan().splitlines()
    wanted = ("# stated", "# claims", "# matrix", "  # hours", "  # budget")
    text = "\n".join(line.replace("# ", "", 1) if line.startswith(wanted) else line for line in lines)
    plan = read_plan("p.yaml", text=text).plan
    assert (len(plan.experiments), len(plan.claims), plan.run.hours_per_day, len(plan.run.budget)) == (9, 2, 8.0, 2)


def test_the_smallest_template() -> None:
    plan = read_plan("p.yaml", text=commented_plan()).plan
    assert plan.experiments[0].stages[0].epochs is not None
    assert plan.experiments[0].stages[0].epochs.mid == 3


def test_what_cannot_be_written() -> None:
    with pytest.raises(UsageError, match="lora, qlora or full"):
        commented_plan(method="magic")
    with pytest.raises(UsageError, match="one budget"):
        commented_plan(steps=5, epochs=1)
    with pytest.raises(PlanError, match="rank"):
        commented_plan(rank=-1)
    with pytest.raises(PlanError, match="rows"):
        commented_plan(rows="many")


@pytest.mark.parametrize("method", ["lora", "qlora", "full"])
def test_its_comments_stand_in_one_column(method: str) -> None:
    lines = commented_plan(method=method, model="a/rather-long-name-of-a-model", name="tab\there # too").splitlines()
    beside = [line.rindex("  # ") for line in lines if "  # " in line.strip() and not line.startswith("name")]
    assert len(beside) >= 7
    assert len(set(beside)) == 1
    assert not any("\t" in line for line in lines)


@pytest.mark.parametrize(
    ("length", "line"),
    [
        (200, "max_length: 512 "),
        ("1.5k", "max_length: 4096 "),
        ("200-300", "max_length: 1024 "),
        (256, "max_length: 512 "),
    ],
)
def test_rows_are_cut_at_twice_their_mean_or_later(length: int | str, line: str) -> None:
    assert f"\n{line}" in commented_plan(length=length)
