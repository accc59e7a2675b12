"""Values with a form of their own: cadences, factors, budgets, dates, warm-ups.

Owns those few that one or two keys need; what all keys share is `plan.reading.values`. Validation and the nouns read
with the same functions, so that nothing passes the one and fails the other.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from headway.domain.errors import PlanError, UserError
from headway.domain.optimizer import optimizer_name
from headway.domain.statement import Factor, Value
from headway.domain.units import Range
from headway.plan.reading.values import (
    fault,
    is_long,
    is_statistics,
    number,
    plain,
    quantity,
    said,
    share,
    text,
    used,
    worded,
    words,
)
from headway.plan.reading.yaml import Map, Node, Text

_DATE: Final = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])([T ]\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:?\d{2})?)?"
)
_DAY_HOURS: Final = 24.0
_PREDICATE: Final = ("metric", "of", "beats", "by")
_SIGNS: Final = {"slower": 1, "more": 1, "faster": -1, "less": -1}


def cadence(node: Node) -> Value:
    """`50 steps`, `1 epoch` or `5 min`: a count with its noun, or a time. Raises PlanError."""
    try:
        value = quantity(node, "count")
        noun = value.noun.rstrip("s")
        if noun in ("step", "epoch") and value.range.is_point and value.mid > 0:
            return value
    except PlanError:
        value = quantity(node, "any") if isinstance(used(node), Text) else quantity(node, "count")
        if value.unit == "s" and not value.noun and value.range.is_point and value.mid > 0:
            return value
    raise fault(
        used(node), "steps, epochs or a time are needed", said(used(node)), "Write it like 50 steps, 1 epoch or 5 min."
    )


def keep(node: Node) -> int | None:
    """How many are kept; None for `all`."""
    if text(node) == "all":
        return None
    value = quantity(node, "count")
    if not value.range.is_point or value.mid != int(value.mid) or value.mid < 1:
        raise fault(node, "a whole number or `all` is needed", said(node))
    return int(value.mid)


def held_out(node: Node) -> float:
    """Share of the rows that is not trained on, 0..1; some are left to train on."""
    found = share(node)
    if found >= 1:
        raise fault(
            used(node), "some rows are left to train on: validation is below 100%", said(used(node)),
            "Write it like 5%.",
        )  # fmt: skip
    return found


def optimizer(node: Node) -> str:
    """An optimizer as written. Raises PlanError for one whose memory is not known (`headway.domain.optimizer`)."""
    found = text(node)
    try:
        optimizer_name(found)
    except UserError as problem:
        raise fault(used(node), problem.rule, problem.got, problem.hint) from None
    return found


def predicate(node: Node) -> dict[str, object]:
    """`{metric, of, beats, by}` as plain data; empty where only words (`stated_as`) are given."""
    found: Node = node.get("use", Map()) if isinstance(node, Map) and is_long(node) else node
    hint = "Write `{metric: accuracy, of: A, beats: B, by: 2 points}`, or the words alone: `{stated_as: ...}`."
    if not isinstance(found, Map):
        raise fault(found, "a condition is a map", said(found), hint)
    for key in found:
        if key not in _PREDICATE:
            raise PlanError("unknown field", got=key, where=found.place(key), hint=hint)
    return {key: plain(item) for key, item in found.items()}


def warmup(node: Node) -> Value:
    """Steps or a share of the steps."""
    found = used(node, "a warm-up")
    return quantity(node, "share" if isinstance(found, Text) and found.rstrip().endswith("%") else "count")


def factor(cause: str, node: Node) -> Factor:
    """`10-20% slower`, `2-5 min more`: a share of the step time, or seconds of the total, with its direction."""
    found = used(node, "a factor")
    form = text(found)
    head, _, last = form.rpartition(" ")
    if form == "unknown":
        sign = -1 if any(word in words(node).get("stated_as", "") for word in ("faster", "less")) else 1
        unknown = Value(range=Range.point(0.0), unit="share", text=form, unknown=True, where=found.where)
        return Factor(cause=cause, change=worded(unknown, node), sign=sign)
    if last not in _SIGNS or not head:
        raise fault(
            found, "a factor ends in slower, faster, more or less", said(found),
            "Write it like `10-20% slower` or `2 min more`.",
        )  # fmt: skip
    value = quantity(Text(head, found.where), "share" if last in ("slower", "faster") else "s")
    return Factor(cause=cause, change=worded(replace(value, text=form), node), sign=_SIGNS[last])


def hours_a_day(node: Node) -> float:
    """Hours of a day: above 0, at most 24."""
    hours = number(node)
    if not 0 < hours <= _DAY_HOURS:
        raise fault(used(node), "a day has more than 0 and at most 24 hours to run", said(used(node)))
    return hours


def budget(node: Node) -> Value:
    """A time, an amount of money, or GPU-hours."""
    value = quantity(node, "any")
    if value.unit not in ("s", "usd"):
        raise fault(
            used(node),
            "a budget is a time, money or GPU-hours",
            said(used(node)),
            "Write it like 10 h, $50 or 80 GPU-h.",
        )
    return value


def date(node: Node) -> str:
    """A day, or a day and an hour, by ISO 8601."""
    found = text(node)
    if not _DATE.fullmatch(found):
        raise fault(used(node), "a date is needed", said(used(node)), "Write it like 2027-01-31.")
    return found


def assumed(node: Node) -> Value | str:
    """A prior: a quantity where it is one, else the word."""
    try:
        return quantity(node, "any")
    except PlanError:
        return text(node)


def length(node: Node) -> Value | None:
    """Tokens in a row; None when they stand in a file (`lengths.of` reads it)."""
    return None if length_file(node) else quantity(node, "count")


def length_file(node: Node) -> str:
    """The file of lengths that `node` names; empty when it says the length itself."""
    if isinstance(node, Map) and set(node) == {"file"}:
        return text(node["file"])
    if isinstance(node, Map) and not is_long(node) and not is_statistics(node):
        raise fault(node, "tokens in a row, a sample or `{file: lengths.txt}` are needed", ", ".join(node))
    found = used(node, "a length") if is_long(node) else node
    if isinstance(found, Text) and re.search(r"[/\\]|\.(txt|json|csv|lengths)$", found):
        return str(found)
    return ""
