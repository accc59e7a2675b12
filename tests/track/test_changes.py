"""Slowdowns: no alarm on noise, found when planted, explained by what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from headway.domain.errors import Finding
from headway.domain.observation import Observation
from headway.track.slowdowns.causes import CAUSES, standing
from headway.track.slowdowns.changes import Changes

STREAMS, BLOCK, PLANTED_AT = 200, 10, 200


def noise(seed: int, count: int) -> np.ndarray:
    """Steps of 1 s: neighbours correlate by 0.6, spread 4 %, and blocks of 10 steps are up to 10 % off either way."""
    random = np.random.default_rng(seed)
    shocks = random.normal(0.0, 0.04 * np.sqrt(1 - 0.6**2), count)
    around = np.empty(count)
    last = 0.0
    for index, shock in enumerate(shocks):
        last = 0.6 * last + shock
        around[index] = last
    levels = np.repeat(random.uniform(-0.1, 0.1, count // BLOCK + 1), BLOCK)[:count]
    return (1.0 + around) * (1.0 + levels)


def first_alarm(seconds: Sequence[float] | np.ndarray) -> int | None:
    changes = Changes()
    for number, took in enumerate(seconds, start=1):
        if changes.feed(Observation(kind="step", step=number, steps=1, seconds=float(took))):
            return number
    return None


def test_quiet_streams_raise_few_alarms() -> None:
    alarms = sum(first_alarm(noise(seed, 400)) is not None for seed in range(STREAMS))
    assert alarms <= 0.05 * STREAMS


def test_a_slowdown_by_a_fifth_is_found_within_40_steps() -> None:
    found = 0
    for seed in range(1000, 1000 + STREAMS):
        seconds = noise(seed, PLANTED_AT + 60)
        seconds[PLANTED_AT:] *= 1.2
        alarm = first_alarm(seconds)
        found += alarm is not None and PLANTED_AT < alarm <= PLANTED_AT + 40
    assert found >= 0.9 * STREAMS


@pytest.mark.parametrize("seconds", [[1.0] * 300, [1.0] * 150 + [30.0] + [1.0] * 149, [1.0] * 150 + [0.5] * 150])
def test_constant_steps_one_slow_step_and_faster_steps_are_no_slowdown(seconds: list[float]) -> None:
    assert first_alarm(seconds) is None


def test_a_slowdown_is_told_once() -> None:
    changes = Changes()
    for number in range(1, 601):
        changes.feed(Observation(kind="step", step=number, steps=1, seconds=1.0 if number <= 200 else 1.5))
    assert [one.code for one in changes.found] == ["HW919"]
    assert changes.found[0].evidence["share"] == pytest.approx(0.5)


@pytest.mark.parametrize("code", ["HW919", "HW901"])
def test_steps_that_creep_up_are_told_of(code: str) -> None:
    """Twice as long after 4,000 steps, 0.7 % in every window: no window is slower than those before it."""
    changes = Changes()
    for number in range(1, 4001):
        pace = 1.0 + number / 4000
        tokens = 1000.0 * (pace if code == "HW901" else 1.0)
        changes.feed(Observation(kind="step", step=number, steps=1, seconds=pace, tokens=tokens))
    assert {one.code for one in changes.found} == {code}
    first = changes.found[0]
    assert first.message.startswith("steps crept up by 2")
    assert 800 < first.evidence["after_s"] * 4000 - 4000 < 1000
    assert 3 <= len(changes.found) <= 4  # 1.2 x each time


def test_a_stall_among_the_first_steps_makes_no_creep_that_is_faster() -> None:
    changes = Changes()
    for number in range(1, 2001):
        seconds = 120.0 if number == 20 else 1.0 + max(0, number - 500) / 6000
        changes.feed(Observation(kind="step", step=number, steps=1, seconds=seconds))
    assert [round(one.evidence["share"], 1) for one in changes.found] == [0.2]


def test_a_run_that_only_wanders_does_not_creep() -> None:
    alarms = sum(first_alarm(noise(seed, 3000)) is not None for seed in range(30))
    assert alarms <= 3


def slowed(before: Mapping[str, float], after: Mapping[str, float], *, tokens: tuple[float, float] = (0.0, 0.0),
           wait_s: tuple[float, float] = (0.0, 0.0)) -> Finding:  # fmt: skip
    """The finding of steps that go from 1 s to 1.4 s, with the machine before and after."""
    changes = Changes()
    for number in range(1, 301):
        late = number > 200
        machine = after if late else before
        if machine:
            changes.feed(Observation(kind="device", values=machine))
        changes.feed(Observation(kind="step", step=number, steps=1, seconds=1.4 if late else 1.0,
                                 tokens=tokens[late] or None, wait_s=wait_s[late]))  # fmt: skip
    (found,) = changes.found
    return found


@pytest.mark.parametrize(
    ("code", "before", "after", "more"),
    [
        ("HW901", {}, {}, {"tokens": (1000.0, 1400.0)}),
        ("HW902", {"cpu_busy_share": 0.9}, {"cpu_busy_share": 0.95}, {"wait_s": (0.05, 0.4)}),
        ("HW902", {}, {}, {"wait_s": (0.05, 0.4)}),
        ("HW903", {"io_wait_share": 0.0}, {"io_wait_share": 0.4}, {"wait_s": (0.05, 0.4)}),
        ("HW906", {"clock_hz": 1.4e9, "temperature_c": 70.0}, {"clock_hz": 1.0e9, "temperature_c": 84.0}, {}),
        ("HW907", {"allocator_retries": 0.0}, {"allocator_retries": 40.0}, {}),
        ("HW907", {"swap_bytes": 0.0}, {"swap_bytes": 2e9}, {}),
        ("HW907", {}, {"memory_bytes": 15.5e9, "memory_total_bytes": 16e9}, {}),
        ("HW908", {"load_per_cpu": 0.8}, {"load_per_cpu": 3.0}, {}),
        ("HW909", {}, {"own_cpu_share": 1.0, "utilisation": 0.2}, {}),
        ("HW919", {"clock_hz": 1.4e9}, {"clock_hz": 1.39e9}, {}),
        # what was so before explains no change
        (
            "HW919",
            {"memory_bytes": 15.5e9, "memory_total_bytes": 16e9},
            {"memory_bytes": 15.5e9, "memory_total_bytes": 16e9},
            {},
        ),
        ("HW919", {"own_cpu_share": 1.0, "utilisation": 0.2}, {"own_cpu_share": 1.0, "utilisation": 0.2}, {}),
    ],
)
def test_each_cause_is_named_by_its_symptom(
    code: str, before: dict[str, float], after: dict[str, float], more: dict[str, tuple[float, float]]
) -> None:
    finding = slowed(before, after, **more)
    assert finding.code == code
    assert finding.hint == CAUSES[code].remedy
    assert "40 % longer" in finding.message


def test_longer_rows_come_before_anything_else() -> None:
    finding = slowed({"clock_hz": 1.4e9}, {"clock_hz": 1.0e9}, tokens=(1000.0, 1400.0))
    assert finding.code == "HW901"


def test_rows_of_changing_length_are_no_slowdown() -> None:
    """0.1 s + 1 ms a token; rows of 100 to 1,000 tokens, in any order."""
    random = np.random.default_rng(7)
    changes = Changes()
    for number, tokens in enumerate(random.integers(100, 1000, 600), start=1):
        took = 0.1 + 0.001 * float(tokens)
        changes.feed(Observation(kind="step", step=number, steps=1, seconds=took, tokens=float(tokens)))
    assert not changes.found


def test_an_evaluation_that_takes_twice_as_long_is_told() -> None:
    assert codes([[20.0], [21.0], [20.0], [41.0], [41.0]]) == [None, None, None, "HW904", None]


def codes(rounds: list[list[float]]) -> list[str | None]:
    """What is said after each evaluation of `rounds`, which have a step between them."""
    changes, found = Changes(), []
    for number, times in enumerate(rounds, start=1):
        changes.feed(Observation(kind="step", step=number, steps=1, seconds=1.0))
        found += [changes.feed(Observation(kind="evaluation", step=number, seconds=took)) for took in times]
    return [one and one.code for one in found]


def test_a_long_data_set_beside_a_short_one_is_no_slowdown() -> None:
    """The Trainer evaluates several at one step: each is held against its own earlier times."""
    assert codes([[10.0, 60.0]] * 5) == [None] * 10
    assert codes([[10.0, 60.0]] * 3 + [[10.0, 120.0]]) == [None] * 7 + ["HW904"]


def test_what_is_slow_from_the_beginning() -> None:
    """A fifth of an hour of loading, a third of the stepping time spent waiting."""
    found = standing({"load": 720.0, "step": 1000.0, "data_wait": 500.0}, 3600.0, {"io_wait_share": 0.3})
    assert [one.code for one in found] == ["HW910", "HW903"]
    assert not standing({"load": 20.0, "step": 1000.0, "data_wait": 10.0}, 1100.0, {})


def test_pages_mapped_again_and_again_are_told_with_the_remedy() -> None:
    seconds, paging = {"step": 1000.0}, {"page_faults_per_s": 82_000.0, "system_share": 0.15}
    (found,) = standing(seconds, 1000.0, paging)
    assert found.code == "HW911"
    assert found.message == "15 % of its processor time is the system's, which maps 82,000 pages a second anew"
    assert "MALLOC_TRIM_THRESHOLD_" in found.hint
    assert not standing(seconds, 1000.0, paging | {"system_share": 0.02})  # huge pages
    assert not standing(seconds, 1000.0, paging | {"page_faults_per_s": 900.0})  # files, not memory
    assert not standing(seconds, 1000.0, paging | {"memory_total_bytes": 80e9})  # a GPU trains
