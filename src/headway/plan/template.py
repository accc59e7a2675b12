"""The plan that `headway init` writes: commented, valid, and as small as what was asked for.

Owns the text; `templates/plan.yaml` holds its comments.
"""

from __future__ import annotations

import math
import re
from importlib.resources import files
from string import Template

from headway.domain.errors import UsageError, UserError
from headway.domain.units import parse

METHODS = ("lora", "qlora", "full")


def commented_plan(
    *,
    name: str = "my-plan",
    model: str = "Qwen/Qwen2-0.5B",
    gpu: str = "RTX 4090",
    method: str = "lora",
    rank: int = 8,
    rows: int | str = "52k",
    length: int | str = 200,
    batch: int = 8,
    epochs: float | str | None = None,
    steps: int | str | None = None,
) -> str:
    """A commented plan for one fine-tuning run: `rows` of `length` tokens, `batch` rows a pass, `epochs` or `steps`.

    `method` is `lora`, `qlora` (both with `rank`) or `full`. Raises UsageError for another one, or two budgets, and
    PlanError when a value is none (a negative rank).
    """
    if method not in METHODS:
        raise UsageError("a method is lora, qlora or full", got=repr(method))
    if epochs is not None and steps is not None:
        raise UsageError("a plan has one budget", got="epochs and steps", hint="Give one of them.")
    adapter = f"adapter: {{method: lora, rank: {rank}}}\t# without this line all weights are trained"
    how = {
        "lora": adapter,
        "qlora": f"quantize: nf4\t# frozen weights in 4 bits\n{adapter}",
        "full": "# adapter: {method: lora, rank: 8}\t# without it, all weights are trained",
    }[method]
    budget = f"steps: {steps}" if steps is not None else f"epochs: {3 if epochs is None else epochs}"
    text = Template((files("headway.plan") / "templates" / "plan.yaml").read_text(encoding="utf-8")).substitute(
        name=_scalar(name), model=_scalar(model), gpu=_scalar(gpu), method=how, rows=_scalar(str(rows)),
        length=_scalar(str(length)), longest=_longest(str(length)), batch=batch, budget=budget,
    )  # fmt: skip
    text = _aligned(text)
    from headway.plan.load import read_plan

    _ = read_plan(name, text=text).plan  # refuses values that are none
    return text


def _longest(length: str) -> str:
    """`max_length`, a power of two from twice the mean on, which few rows exceed; a comment for lengths in a file."""
    try:
        mean = parse(length, "count").range.high
    except UserError:
        return "# max_length: 2048"
    return f"max_length: {2 ** math.ceil(math.log2(2 * mean))}" if mean >= 1 else "# max_length: 2048"


def _aligned(text: str) -> str:
    """`text` with the comments that a tab sets apart in one column, two spaces after the longest line before them."""
    lines = [line.partition("\t") for line in text.splitlines()]
    column = max(len(code) for code, tab, _ in lines if tab) + 2
    return "".join(f"{code.ljust(column)}{comment}\n" if tab else f"{code}\n" for code, tab, comment in lines)


def _scalar(text: str) -> str:
    """`text` as one YAML scalar, in quotes where it needs them."""
    if re.fullmatch(r"[A-Za-z0-9][\w./ $%+-]*", text) and not text.endswith(" ") and text not in ("null", "none"):
        return text
    return "'" + re.sub(r"\s", " ", text.replace("'", "''")) + "'"
