"""Forms of a value: long, list, sample, parts, unknown, negligible; and token lengths from files."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from headway.domain.errors import PlanError
from headway.domain.plan import Dataset
from headway.plan import read_plan
from headway.plan.reading import forms, values
from headway.plan.reading.yaml import Map, Node, read


def node(text: str) -> Node:
    tree = read("p", f"x: {text}\n").tree
    assert isinstance(tree, Map)
    return tree["x"]


@pytest.mark.parametrize(
    ("text", "dimension", "ends"),
    [
        ("0.8-1.2 s", "s", (0.8, 1.0, 1.2)),
        ("0.8–1.2 s", "s", (0.8, 1.0, 1.2)),
        ("$10-12-15/h", "usd_per_hour", (10, 12, 15)),
        ("over 1 s", "s", (1, 1, math.inf)),
        ("under 30 min", "s", (0, 1800, 1800)),
        ("negligible", "s", (0, 0, 0)),
        ("{mean: 521.34 ms, sd: 35.21 ms, n: 500}", "s", (0.52134, 0.52134, 0.52134)),
        ("{min: 1 s, max: 3 s}", "s", (1, 2, 3)),
        ("{part 1: 10k, part 2: 5 * 3}", "count", (10_015, 10_015, 10_015)),
        ("200-300", "count", (200, 250, 300)),
        ("12.5", "gpu_hours", (45_000, 45_000, 45_000)),
        ("64 node-h", "any", (230_400, 230_400, 230_400)),
        ("1h30m", "s", (5400, 5400, 5400)),
    ],
)
def test_quantities(text: str, dimension: str, ends: tuple[float, float, float]) -> None:
    found = values.quantity(node(text), dimension).range
    assert (found.low, found.mid, found.high) == pytest.approx(ends)


def test_the_long_form_keeps_words_and_provenance() -> None:
    value = values.quantity(node("{stated_as: about a minute, use: 50-70 s, source: a page, date: 2024-01-31}"), "s")
    assert (value.mid, value.stated_as, value.source, value.date) == (60, "about a minute", "a page", "2024-01-31")
    name = values.name(node("{stated_as: H100 40GB, use: H100 SXM 80GB}"))
    assert (name.use, name.words) == ("H100 SXM 80GB", "H100 40GB")
    assert str(name.where) == "p:1:32"


def test_said_several_times() -> None:
    value = values.quantity(node("[10 min, 0.17 h]"), "s")
    assert (value.mid, [other.mid for other in value.others]) == (600, [pytest.approx(612)])


def test_unknown_is_not_zero() -> None:
    value = values.quantity(node("unknown"), "s")
    assert (value.unknown, value.text) == (True, "unknown")
    assert values.quantity(node("{a: 5, b: unknown}"), "count").unknown
    assert not values.quantity(node("negligible"), "s").unknown


@pytest.mark.parametrize(
    ("text", "sign", "unit", "ends"),
    [
        ("10-20% slower", 1, "share", (0.1, 0.2)),
        ("2-3 min less", -1, "s", (120, 180)),
        ("30-60 s more", 1, "s", (30, 60)),
        ("10-15% faster", -1, "share", (0.1, 0.15)),
    ],
)
def test_factors(text: str, sign: int, unit: str, ends: tuple[float, float]) -> None:
    found = forms.factor("why", node(text))
    assert (found.sign, found.change.unit) == (sign, unit)
    assert (found.change.range.low, found.change.range.high) == pytest.approx(ends)


def test_cadences_and_budgets() -> None:
    assert [forms.cadence(node(text)).noun for text in ("50 steps", "1 epoch")] == ["steps", "epoch"]
    assert forms.cadence(node("5 min")).mid == 300
    assert [forms.budget(node(text)).unit for text in ("10 h", "$50", "80 GPU-h")] == ["s", "usd", "s"]
    assert forms.date(node("2027-01-31")) == "2027-01-31"


@pytest.mark.parametrize("text", ["[]", "{a: 1 s}", "{mean: 1-2 s}", "{sd: 1 s}", "'5'", "{use: {use: 5}}"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(PlanError):
        values.quantity(node(text), "s")


def dataset(folder: Path, length: str) -> Dataset:
    plan = folder / "plan.yaml"
    plan.write_text(f"headway: 1\nmodel: m\ndata: {{rows: 5, length: {length}}}\n")
    return next(iter(read_plan(plan).plan.datasets.values()))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("lengths.txt", "10\n20\n\n20\n50\n"),
        ("lengths.json", "[10, 20, 20, 50]"),
        ("histogram.json", json.dumps({"10": 1, "20": 2, "50": 1})),
    ],
)
def test_lengths_from_a_file_beside_the_plan(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    for form in (name, f"{{file: {name}}}"):
        made = dataset(tmp_path, form)
        assert made.length is not None
        assert (made.length.mid, made.length.statistics["median"], made.length.statistics["n"]) == (25, 20, 4)
        quantiles = dict(made.length_quantiles)
        assert (quantiles[0.0], quantiles[0.25], quantiles[0.5], quantiles[0.75], quantiles[1.0]) == (
            10,
            10,
            20,
            20,
            50,
        )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"10\nten\n", "lengths.txt:2:1: a file of lengths has one whole number a line, got 'ten'"),
        (b"10\n-5\n", "lengths.txt:2:1: a file of lengths has one whole number a line, got '-5'"),
        (b"", "a file of lengths has at least one row"),
        (b"[1, 2", "a JSON file of lengths is a list of whole numbers"),
        (b"[1, 2.5]", "a JSON file of lengths is a list of whole numbers, or a map from length to rows, got 2.5: 1"),
        (
            b'{"5": "x"}',
            "a JSON file of lengths is a list of whole numbers, or a map from length to rows, got '5': 'x'",
        ),
        (b"\xff\xfe1\n", "a file of lengths is text: one whole number a line"),
    ],
)
def test_bad_length_files(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "lengths.txt").write_bytes(content)
    with pytest.raises(PlanError) as caught:
        dataset(tmp_path, "lengths.txt")
    assert message in str(caught.value)


def test_a_missing_length_file_is_named_at_its_place(tmp_path: Path) -> None:
    with pytest.raises(PlanError) as caught:
        dataset(tmp_path, "nowhere.txt")
    assert str(caught.value).startswith(f"{tmp_path}/plan.yaml:3:25: a file of lengths is readable: No such file")
