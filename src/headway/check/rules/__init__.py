"""Every rule by its code. A new rule: a function and its `Rule` in the file of its kind, and its name in `RULES` there.

Owns the list. A test walks the folder, so that no file is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from headway.check.rule import Rule
from headway.check.rules import (
    billing,
    calendar,
    counting,
    facts,
    figures,
    memory,
    money,
    physics,
    ranges,
    references,
    savings,
    subsets,
    tables,
    totals,
    units,
)

FILES = (
    figures, counting, totals, units, ranges, savings, subsets, tables, references, physics, facts, money,
    billing, calendar, memory,
)  # fmt: skip

RULES: Mapping[str, Rule] = MappingProxyType(
    {rule.code: rule for rule in sorted((rule for file in FILES for rule in file.RULES), key=lambda rule: rule.code)}
)
"""By code, in the order of codes."""
