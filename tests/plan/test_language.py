"""One table, three uses: validation, JSON Schema and the table of keys agree."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from headway.domain.errors import PlanError
from headway.domain.statement import Value
from headway.plan import json_schema, key_table, read_plan
from headway.plan.language.claims import CLAIMS, SPLITS, claims_of
from headway.plan.language.foreign import FOREIGN
from headway.plan.language.keys import ANYWHERE, PLAN, STAGE
from headway.plan.reading.yaml import read

EXAMPLES = sorted(Path(__file__).parents[2].glob("examples/*/plan.yaml"))
TYPES = {"string": str, "object": dict, "array": list, "boolean": bool, "null": type(None)}


def fits(value: Any, schema: Any, root: dict[str, Any]) -> bool:
    """JSON Schema 2020-12, as much of it as the plan's schema uses."""
    if isinstance(schema, bool):
        return schema
    if "$ref" in schema:
        return fits(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema and not any(fits(value, inner, root) for inner in schema["anyOf"]):
        return False
    if "const" in schema and value != schema["const"]:
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "type" in schema and not any(
        _is(value, name) for name in [schema["type"]] * isinstance(schema["type"], str) or schema["type"]
    ):
        return False
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        return False
    if isinstance(value, list) and "items" in schema:
        return all(fits(item, schema["items"], root) for item in value)
    if isinstance(value, dict) and schema.get("type") == "object":
        properties, other = schema.get("properties", {}), schema.get("additionalProperties", True)
        known = all(fits(item, properties.get(str(key), other), root) for key, item in value.items())
        return known and set(schema.get("required", ())) <= set(map(str, value))
    return True


def _is(value: object, name: str) -> bool:
    if name in ("number", "integer"):
        return isinstance(value, int | float if name == "number" else int) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_the_examples_fit_the_json_schema(path: Path) -> None:
    schema = json_schema()
    tree = YAML(typ="safe", pure=True).load(path)
    assert fits(tree, schema, schema)
    assert not fits({**tree, "save_steps": 5}, schema, schema)
    assert not fits({key: item for key, item in tree.items() if key != "headway"}, schema, schema)


def test_the_json_schema_is_whole() -> None:
    schema = json_schema()
    assert schema["$schema"].endswith("2020-12/schema")
    assert set(schema["properties"]) == set(PLAN.fields)
    references = set(re.findall(r"#/\$defs/(\w+)", str(schema)))
    assert references <= set(schema["$defs"])
    assert all(entry.get("description") for entry in schema["properties"].values())


def test_every_key_has_a_sentence_and_stands_in_the_table() -> None:
    table = key_table()
    for key, field in PLAN.fields.items():
        assert field.doc.endswith((".", "`.")), key
        assert f"| `{key}` |" in table
    assert "| `micro_batch` | ▾◦ |" in table


def test_inherited_keys_stand_at_every_level() -> None:
    phase = PLAN.fields["phases"].kind.kind  # type: ignore[union-attr]
    for key in ANYWHERE:
        assert key in PLAN.fields
        assert key in STAGE.fields
        assert key in phase.fields  # type: ignore[union-attr]


@pytest.mark.parametrize("key", sorted(FOREIGN))
def test_foreign_keys_are_refused_with_the_line_to_write(key: str) -> None:
    assert key not in PLAN.fields
    with pytest.raises(PlanError) as caught:
        read_plan("p.yaml", text=f"headway: 1\n{key}: 1\n")
    assert caught.value.hint == f"Write {FOREIGN[key]}."


@pytest.mark.parametrize(
    "line", [line for line in FOREIGN.values() if " or " not in line and "," not in line.split("{")[0]]
)
def test_lines_to_write_are_plans(line: str) -> None:
    text = line.replace(" and ", "\n").replace("PHASE", "a").replace("NAME", "a")
    if text.startswith("needs"):
        text = f"phases: {{a: , b: {{{text}}}}}"
    read_plan(
        "p.yaml",
        text="headway: 1\nmodel: m\ndata: {rows: 5}\ntasks: [t]\n".replace(_doubled(text), "") + text + "\n",
    )


def _doubled(text: str) -> str:
    return {"model": "model: m\n", "data": "data: {rows: 5}\n"}.get(text.partition(":")[0], "\0")


CLAIMED = """\
wall: {low: 40-41 min, headline: [50 min, 0.8 h]}
gpu_hours: [341.7, 82]
days: {8 h/day: 43}
cost: {aws: $1046}
total: {wall: 8 h, cost: {spot: $102}}
active: {share: 29%}
timeline: {1: 2 h, 2A: 15 h after 1}
bands: [{name: fast, step: 200-300 ms, epochs: 10}]
wall_at: {epochs: [1, 5], 200 ms: [10.7 min, 53 min]}
saves: 75 GPU-h
agrees: true
says: [words, more words]
throughput: 1800-2000 steps/h
interrupted_within: {8 h: 35%}
"""


def test_claims_are_flattened_with_their_dimension() -> None:
    found = {claim.path: claim.values for claim in claims_of("x", read("p", CLAIMED).tree)}

    def point(*path: str) -> tuple[float, str]:
        value = found[path][0]
        assert isinstance(value, Value)
        return round(value.range.mid, 6), value.unit

    assert point("wall", "low") == (40.5 * 60, "s")
    assert len(found["wall", "headline"]) == 2
    assert point("gpu_hours") == (341.7 * 3600, "s")
    assert found["gpu_hours",][0].noun == "GPU-h"  # type: ignore[union-attr]
    assert point("days", "8 h/day") == (43 * 86400, "s")
    assert point("cost", "aws") == (1046, "usd")
    assert point("total", "cost", "spot") == (102, "usd")
    assert point("active", "share") == (0.29, "share")
    assert point("timeline", "2A") == (15 * 3600, "s")
    assert found["timeline", "2A"][0].note == "after 1"  # type: ignore[union-attr]
    assert found["bands", "0", "name"] == ("fast",)
    assert point("bands", "0", "step") == (0.25, "s")
    assert point("bands", "0", "epochs") == (10, "count")
    assert point("wall_at", "epochs") == (1, "count")
    assert point("wall_at", "200 ms") == (642, "s")
    assert point("saves") == (75 * 3600, "s")
    assert found["agrees",] == (True,)
    assert found["says",] == ("words", "more words")
    assert point("throughput") == (round(1900 / 3600, 6), "per_s")
    assert point("interrupted_within", "8 h") == (0.35, "share")


@pytest.mark.parametrize("key", [*CLAIMS, *SPLITS])
def test_every_claim_key_refuses_what_it_is_not(key: str) -> None:
    if CLAIMS.get(key) in ("text", "any"):
        return
    with pytest.raises(PlanError):
        list(claims_of("", read("p", f"{key}: nonsense\n").tree))
