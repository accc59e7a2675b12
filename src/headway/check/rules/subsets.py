"""HW14x, subsets: reduced sets that nobody can run, scenarios of different work, and what is left to do.

Owns which experiments an option or a branch of a decision holds. What it saves is `savings`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from headway.check.case import Case
from headway.check.rule import Rule
from headway.check.words import joined
from headway.domain.errors import Finding
from headway.domain.plan import Option
from headway.domain.selection import select
from headway.domain.statement import Selector

_LEADING = re.compile(r"^\s*(\d+)\b")


def _unnamed(case: Case) -> Iterator[Finding]:
    for option in case.plan.options.values():
        worded = [(selector, _number(selector), len(select(case.plan, selector))) for selector in option.keep
                  if selector.stated_as]  # fmt: skip
        if not worded:
            continue
        wrong = [one for one in worded if one[1] not in (None, one[2])]
        words = joined(
            f"'{selector.stated_as}' is read as {joined(selector.patterns)} ({count})" for selector, _, count in worded
        )
        yield UNNAMED.finding(
            f"{option.id} does not name its members: {words}",
            where=(wrong or worded)[0][0].where,
            evidence={selector.stated_as: {"read_as": list(selector.patterns), "experiments": count}
                      for selector, _, count in worded},
            hint="Confirm the reading and drop stated_as, or name the experiments that are meant.",
            severity="error" if wrong else "info",
        )  # fmt: skip


def _number(selector: Selector) -> int | None:
    """How many the words speak of, where they begin with a number."""
    match = _LEADING.match(selector.stated_as)
    return int(match[1]) if match else None


def _scenarios(case: Case) -> Iterator[Finding]:
    """Ways to pay for the plan that differ in what they run."""
    priced = {claim.owner for claim in case.plan.claims if {"cost", "wall"} & set(claim.path)}
    ways = [option for option in case.plan.options.values() if _pays(option) and f"options.{option.id}" in priced]
    work: dict[tuple[str, ...], list[Option]] = {}
    for option in ways:
        dropped = tuple(sorted({id_ for selector in option.drop for id_ in select(case.plan, selector)}))
        work.setdefault((*sorted(option.with_), *dropped), []).append(option)
    if len(work) < 2:
        return
    less = max(work, key=lambda brought: len(work[brought]))
    groups = [f"{joined(one.id for one in several)}: {f'with {joined(names)}' if names else 'the plan as it is'}"
              for names, several in sorted(work.items())]  # fmt: skip
    first = next(option for names, several in work.items() if names != less for option in several)
    yield OTHER_WORK.finding(
        f"ways to pay are compared that run different work: {'; '.join(groups)}",
        where=first.where,
        evidence={", ".join(names) or "the plan": [one.id for one in several] for names, several in work.items()}
        | {"kinds_of_work": len(work)},
        hint="Price the same work in each, and the extra work as an option of its own.",
    )


def _pays(option: Option) -> bool:
    """True for an option that says how the plan is paid for and run, not what is run."""
    return bool(option.set) and all(key.startswith("run.") for key in option.set) and not (option.vary or option.keep)


_KEEP = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 80k, length: 128}}
matrix: {{steps: [1k, 2k, 3k]}}
run: {{machine: RTX 4090}}
options:
  short: {{keep: {kept}}}
"""
_WAYS = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 8k, length: 128}}
phases:
  main: {{stated: {{wall: 2 h}}}}
  writing: {{do: text, by: human, data: none, optional: true, stated: {{wall: 1 h}}}}
run: {{machine: {{gpu: RTX 4090, price: $1/h, spot: {{price: $0.4/h}}}}}}
options:
  kept: {{{brought}set: {{run.idle: keep}}, claims: {{cost: $2}}}}
  spot: {{set: {{run.pricing: spot}}, claims: {{cost: $0.8}}}}
"""
UNNAMED = Rule(
    code="HW144",
    name="reduced set without members",
    severity="error",
    says="A reduced set names its experiments.",
    because="'Ten key runs' can be neither run nor priced. A remark where the plan reads the words as a set of that "
    "size, an error where it holds another number.",
    fails=_KEEP.format(kept="{stated_as: 2 key runs, use: '*/1k'}"),
    passes=_KEEP.format(kept="['*/1k', '*/2k']"),
    find=_unnamed,
)
OTHER_WORK = Rule(
    code="HW145",
    name="scenarios of different work",
    severity="warning",
    says="Ways to pay are compared for the same work.",
    because="A scenario that leaves work out is cheaper for that reason.",
    fails=_WAYS.format(brought="with: writing, "),
    passes=_WAYS.format(brought=""),
    find=_scenarios,
)
RULES = (UNNAMED, OTHER_WORK)
