"""Packs that people share: what no `headway measure --share` writes is refused with the file and the key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.app.measure import Asked, choose
from headway.app.packs import packed, share
from headway.domain.errors import UserError
from headway.plan import PlanFile, plan_from_mapping
from headway.worker.machine.host import host_cpu, usable_cores

PLAN = {
    "model": "Qwen/Qwen2-0.5B", "adapter": {"method": "lora", "rank": 4},
    "micro_batch": 8, "max_length": 128, "data": {"rows": 80000, "length": 100}, "steps": 100,
    "run": {"machine": {"gpu": "cpu"}},
}  # fmt: skip
ENDS = {"p10": 0.9, "p50": 1.0, "p90": 1.2}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("headway.pack/1"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def source() -> PlanFile:
    return plan_from_mapping(PLAN, "one-run")


@pytest.fixture(scope="module")
def pack(source: PlanFile, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one person shares of a step on this very CPU."""
    job = choose(source, Asked(device="cpu"), {}).job
    body = {
        "device": "CPU", "gpus": 1, "machine": {"host": host_cpu(), "cores": usable_cores()},
        "rates": {"import_s": ENDS, "checkpoint_write_bytes_per_s": ENDS, "data_wait_share": {**ENDS, "p10": 0.0}},
        "terms": {"step": {**ENDS, "repeats": 9}, "data_wait": {"p10": 0.0, "p50": 0.0, "p90": 0.1, "repeats": 9}},
        "task": {"tokens_per_step": job.batches.tokens_per_step},
    }  # fmt: skip
    file = tmp_path_factory.mktemp("share") / "one.json"
    share(str(file), body, job, "2026-11-21")
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def changed(said: Mapping[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any]:
    """With another value at a path."""
    first, rest = path[0], path[1:]
    return {**said, first: changed(said[first], rest, value) if rest else value}


def paths(said: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """To every value of a pack."""
    inner = [(key, *path) for key, value in said.items() if isinstance(value, dict) for path in paths(value)]
    return [*((key,) for key in said), *inner]


def write(folder: Path, said: object) -> str:
    (folder / "a.json").write_text(json.dumps(said), encoding="utf-8")
    return str(folder)


def test_what_is_shared_is_read(pack: dict[str, Any], source: PlanFile, tmp_path: Path) -> None:
    found = packed(write(tmp_path, pack), source, {})
    assert {one.term: one.seconds.mid for one in found.measurements} == {"step": 1.0, "data_wait": 0.0}
    assert found.rates["CPU"]["import_s"].range.mid == 1.0


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("device",), None, "a.json: device: device of a pack is its name, got None"),
        (("gpus",), True, "a.json: gpus: gpus of a pack is a whole number above 0, got True"),
        (("gpus",), 1.5, "got 1.5"),
        (("date",), "yesterday", "date of a pack is like 2026-11-21, got 'yesterday'"),
        (("machine",), [], "machine of a pack is a mapping"),
        (("rates",), 5, "rates of a pack is a mapping"),
        (("work",), "", "work of a pack is a fingerprint"),
        (("tokens_per_step",), 0, "tokens_per_step of a pack is a number above 0, got 0"),
        (("terms", "step"), 1.0, "a.json: terms.step: terms.step of a pack has p10, p50 and p90, got 1.0"),
        (("terms", "step", "p50"), 0, "a.json: terms.step.p50: p50 of a pack's step is a number, above 0, got 0"),
        (("terms", "step", "p90"), float("nan"), "terms.step.p90"),
        (("terms", "step", "repeats"), 0, "a.json: terms.step.repeats: repeats are a whole number above 0, got 0"),
        (("rates", "import_s", "p90"), float("inf"), "rates.import_s.p90"),
        (("rates", "checkpoint_write_bytes_per_s", "p10"), 0, "rates.checkpoint_write_bytes_per_s.p10"),
        (("schema",), "headway.pack/2", "this headway reads headway.pack/1, got headway.pack/2"),
    ],
)
def test_what_is_no_pack_is_refused_by_its_file_and_key(
    pack: dict[str, Any], source: PlanFile, tmp_path: Path, path: tuple[str, ...], value: object, says: str
) -> None:
    with pytest.raises(UserError) as refused:
        packed(write(tmp_path, changed(pack, path, value)), source, {})
    assert says in str(refused.value)
    assert str(refused.value).startswith("a.json: ")


def test_a_newer_pack_says_how_to_read_it(pack: dict[str, Any], source: PlanFile, tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        packed(write(tmp_path, changed(pack, ("schema",), "headway.pack/12")), source, {})
    assert "pip install -U headway" in refused.value.hint


def test_a_key_that_is_not_there_is_named(pack: dict[str, Any], source: PlanFile, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="tokens_per_step of a pack"):
        packed(write(tmp_path, {key: value for key, value in pack.items() if key != "tokens_per_step"}), source, {})


@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_strangers_write_is_read_or_refused(
    data: st.DataObject, pack: dict[str, Any], source: PlanFile, tmp_path: Path
) -> None:
    path = data.draw(st.sampled_from(paths(pack)))
    folder = write(tmp_path, changed(pack, path, data.draw(VALUES)))
    try:
        packed(folder, source, {})
    except UserError as error:
        assert str(error)
