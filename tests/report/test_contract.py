"""The JSON that other programs rely on: the shape is written here, key by key, and never changes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headway.report.answer import Answer
from headway.report.contract import estimate_document, streamed_document
from headway.report.estimate_view import estimate_page
from headway.report.render import FORMATS
from headway.report.view import Layout

S = {"p10": float, "p50": float, "p90": float, "kind": ("measured", "predicted", "stated", "assumed"), "source": str}
F = {
    "code": str, "severity": ("error", "warning", "info"), "message": str,
    "where": {"file": str, "line": int, "column": int}, "evidence": dict, "hint": str,
}  # fmt: skip
SHAPE = {
    "schema": ("headway.estimate/1",),
    "plan": {"name": str, "fingerprint": str},
    "totals": {
        "experiments": int, "gpu_hours": S, "billed_gpu_hours": (S, None), "wall_hours": S, "cost_usd": (S, None),
        "energy_kwh": (S, None),
    },
    "phases": [{"id": str, "parent": (str, None), "name": str, "experiments": int, "gpu_hours": S}],
    "experiments": [
        {"id": str, "phase": str, "steps": int, "tokens": (int, None), "gpu_hours": S, "peak_memory_bytes": (S, None),
         "fits": ("yes", "no", "uncertain"), "terms_s": {"*": S}}
    ],
    "scenarios": [{"name": str, "gpu_hours": float}],
    "offers": [{"provider": str, "instance": str, "gpu": str, "usd_per_hour": (float, None), "priced_on": (str, None),
                "cost_usd": (S, None)}],
    "warnings": [F],
}  # fmt: skip


def fits(value: Any, shape: Any, path: str = "$") -> None:
    """`value` has the shape: a type, allowed values or shapes in a tuple, a mapping of keys, a list of one shape."""
    if isinstance(shape, tuple):
        found = [option for option in shape if _matches(value, option)]
        assert found, f"{path}: {value!r} is none of {shape}"
        if isinstance(found[0], dict | list):
            fits(value, found[0], path)
    elif isinstance(shape, dict):
        assert isinstance(value, dict), path
        for key, inner in shape.items():
            for name in value if key == "*" else [key]:
                assert name in value, f"{path}.{name} is missing"
                fits(value[name], inner, f"{path}.{name}")
    elif isinstance(shape, list):
        assert isinstance(value, list), path
        for index, item in enumerate(value):
            fits(item, shape[0], f"{path}[{index}]")
    else:
        assert _matches(value, shape), f"{path}: {value!r} is no {shape}"


def _matches(value: Any, option: Any) -> bool:
    if option is None or isinstance(option, str):
        return bool(value == option)
    if isinstance(option, dict):
        return isinstance(value, dict)
    if option is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, option) and not (option is int and isinstance(value, bool))


def written(answer: Answer) -> Any:
    return json.loads("".join(FORMATS["json"](estimate_page(answer), Layout())))


@pytest.mark.parametrize("which", ["many", "one"])
def test_the_document_keeps_the_contract(which: str, request: pytest.FixtureRequest) -> None:
    fits(written(request.getfixturevalue(which)), SHAPE)


def test_the_shape_test_can_fail(many: Answer) -> None:
    document = written(many)
    document["experiments"][0]["fits"] = "maybe"
    with pytest.raises(AssertionError, match=r"experiments\[0\].fits"):
        fits(document, SHAPE)


def test_figures_are_unrounded_and_in_the_named_unit(many: Answer) -> None:
    document = written(many)
    totals = document["totals"]
    assert totals["experiments"] == 4
    assert totals["gpu_hours"]["p50"] == pytest.approx(12.1)  # 11 h and a tenth
    assert totals["energy_kwh"]["p50"] == pytest.approx(12.1 * 0.45)
    assert totals["cost_usd"]["p50"] == pytest.approx(12.1 * 0.45 * 0.15)
    assert totals["billed_gpu_hours"] is None  # an owned machine
    assert [phase["parent"] for phase in document["phases"]] == [None, None, "2", "2"]
    assert sum(p["gpu_hours"]["p50"] for p in document["phases"] if not p["parent"]) == pytest.approx(11.0)
    assert document["offers"][0]["cost_usd"]["p50"] == pytest.approx(12.1 * 3.6)
    assert document["offers"][0]["usd_per_hour"] == 3.6


def test_scenarios_are_the_ends_of_the_ranges(one: Answer) -> None:
    scenarios = {item["name"]: item["gpu_hours"] * 3600 for item in written(one)["scenarios"]}
    # best 32 + 800 + 50 s, expected 47.5 + 1,000 + 75 s, worst 63 + 1,200 + 100 s
    assert scenarios == pytest.approx({"best": 882.0, "expected": 1122.5, "worst": 1363.0})


def test_terms_of_an_experiment_add_up_to_its_hours(one: Answer) -> None:
    run = written(one)["experiments"][0]
    for end in ("p10", "p50", "p90"):
        assert sum(term[end] for term in run["terms_s"].values()) == pytest.approx(3600 * run["gpu_hours"][end])


def test_lines_of_the_bill_sum_to_the_cost(one: Answer) -> None:
    document = written(one)
    assert sum(line["usd"]["p50"] for line in document["bill"]["lines"]) == pytest.approx(
        document["totals"]["cost_usd"]["p50"]
    )


def test_a_warning_carries_its_place_and_its_numbers(many: Answer) -> None:
    warning = written(many)["warnings"][0]
    assert warning["where"] == {"file": "plan.yaml", "line": 12, "column": 3}
    assert warning["evidence"] == {"share": [0.01, 0.02]}


def test_the_unknown_is_null_and_never_zero(nothing_known: Answer) -> None:
    document = written(nothing_known)
    assert document["totals"]["gpu_hours"] is None
    assert document["totals"]["cost_usd"] is None
    assert document["totals"]["energy_kwh"] is None
    assert document["experiments"][0]["gpu_hours"] is None
    assert document["experiments"][0]["fits"] == "uncertain"
    assert document["offers"][0]["cost_usd"] is None


def test_an_effect_of_unknown_size_is_null(one: Answer) -> None:
    assert [item["favourable_s"] for item in written(one)["sensitivity"]] == [-200, None]


def test_the_streamed_document_is_the_same(many: Answer) -> None:
    streamed = streamed_document(many)
    assert not isinstance(streamed["experiments"], list)
    assert {**streamed, "experiments": list(streamed["experiments"])} == estimate_document(many)


def test_a_prediction_says_what_it_stands_on(one: Answer) -> None:
    [item] = estimate_document(one)["experiments"]
    assert item["evidence"]["tier"] == "same device"
    assert item["evidence"]["narrows"].startswith("a 60 s")
