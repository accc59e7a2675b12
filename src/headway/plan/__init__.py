"""Plan files: YAML to `domain.plan.Plan`, with the place of every part; errors with line and column.

Owns the language of plans and its expansion. Names of models and machines are resolved by `catalog/`; computing is the
spine. The public names load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headway.plan.importers import read_import as read_import
    from headway.plan.importing.nouns import Imported as Imported
    from headway.plan.importing.written import written as written
    from headway.plan.language.json_schema import json_schema as json_schema
    from headway.plan.language.json_schema import key_table as key_table
    from headway.plan.load import PlanFile as PlanFile
    from headway.plan.load import is_plan as is_plan
    from headway.plan.load import plan_from_mapping as plan_from_mapping
    from headway.plan.load import plan_from_tree as plan_from_tree
    from headway.plan.load import read_plan as read_plan
    from headway.plan.template import commented_plan as commented_plan

_HOMES = {
    "Imported": "importing.nouns",
    "PlanFile": "load",
    "is_plan": "load",
    "plan_from_mapping": "load",
    "plan_from_tree": "load",
    "read_import": "importers",
    "read_plan": "load",
    "written": "importing.written",
    "json_schema": "language.json_schema",
    "key_table": "language.json_schema",
    "commented_plan": "template",
}

__all__ = [
    "Imported",
    "PlanFile",
    "commented_plan",
    "is_plan",
    "json_schema",
    "key_table",
    "plan_from_mapping",
    "plan_from_tree",
    "read_import",
    "read_plan",
    "written",
]


def __getattr__(name: str) -> Any:
    """A public name from the file that defines it. Raises AttributeError for any other."""
    if name not in _HOMES:
        raise AttributeError(f"module 'headway.plan' has no attribute {name!r}")
    return getattr(import_module(f"headway.plan.{_HOMES[name]}"), name)
