"""Plan files: YAML to `domain.plan.Plan`, with the place of every part; errors with line and column.

Owns the language of plans and its expansion. Names of models and machines are resolved by `catalog/`; computing is the
spine. The public names load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headway.plan.language.json_schema import json_schema as json_schema
    from headway.plan.language.json_schema import key_table as key_table
    from headway.plan.load import PlanFile as PlanFile
    from headway.plan.load import plan_from_mapping as plan_from_mapping
    from headway.plan.load import read_plan as read_plan
    from headway.plan.template import commented_plan as commented_plan

_HOMES = {
    "PlanFile": "load",
    "plan_from_mapping": "load",
    "read_plan": "load",
    "json_schema": "language.json_schema",
    "key_table": "language.json_schema",
    "commented_plan": "template",
}

__all__ = ["PlanFile", "commented_plan", "json_schema", "key_table", "plan_from_mapping", "read_plan"]


def __getattr__(name: str) -> Any:
    """A public name from the file that defines it. Raises AttributeError for any other."""
    if name not in _HOMES:
        raise AttributeError(f"module 'headway.plan' has no attribute {name!r}")
    return getattr(import_module(f"headway.plan.{_HOMES[name]}"), name)
