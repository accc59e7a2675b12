"""Every rule by its code, and the choice of some. A new rule: a function and its `Rule` in the file of its kind.

Owns the list. A test walks the folder `rules/`, so that no file is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from headway.check.rule import Rule
from headway.check.rules import (
    billing,
    booking,
    calendar,
    checkpoints,
    counting,
    data,
    decisions,
    diagnoses,
    disk,
    evaluation,
    facts,
    figures,
    interruptions,
    memory,
    methods,
    money,
    names,
    omissions,
    physics,
    power,
    prices,
    questions,
    ranges,
    references,
    replicates,
    reuse,
    safeguards,
    samples,
    savings,
    sizes,
    subsets,
    tables,
    text,
    totals,
    units,
)
from headway.domain.errors import UsageError

FILES = (
    billing,
    booking,
    calendar,
    checkpoints,
    counting,
    data,
    decisions,
    diagnoses,
    disk,
    evaluation,
    facts,
    figures,
    interruptions,
    memory,
    methods,
    money,
    names,
    omissions,
    physics,
    power,
    prices,
    questions,
    ranges,
    references,
    replicates,
    reuse,
    safeguards,
    samples,
    savings,
    sizes,
    subsets,
    tables,
    text,
    totals,
    units,
)

RULES: Mapping[str, Rule] = MappingProxyType(
    {rule.code: rule for rule in sorted((rule for file in FILES for rule in file.RULES), key=lambda rule: rule.code)}
)
"""By code, in the order of codes."""


def chosen(select: Sequence[str] = (), ignore: Sequence[str] = ()) -> tuple[Rule, ...]:
    """Rules whose codes begin with one of `select` (all, where there is none) and with none of `ignore`.

    Raises UsageError for a prefix that no rule has.
    """
    for prefix in (*select, *ignore):
        if not any(code.startswith(prefix) for code in RULES):
            raise UsageError("a rule's code, or the beginning of one, is needed", got=prefix,
                             hint="Codes run from HW101 to HW8xx; headway check --rules lists them.")  # fmt: skip
    return tuple(
        rule
        for code, rule in RULES.items()
        if (not select or code.startswith(tuple(select))) and not (ignore and code.startswith(tuple(ignore)))
    )
