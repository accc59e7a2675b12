"""Plans and settings made for one test each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from headway.app.resolve import resolve
from headway.catalog.calibration import shipped_calibration
from headway.catalog.speed import shipped_speed
from headway.domain.measurement import Measurement
from headway.domain.plan import Plan
from headway.estimate.assemble import assemble
from headway.estimate.nouns import Estimate, Rates, StageEstimate
from headway.estimate.predicted import Predictor
from headway.estimate.setting import Setting, make_setting
from headway.plan import plan_from_mapping
from headway.predict.learning.record import from_record

SPEED = from_record(shipped_speed())
SMALL: dict[str, Any] = {
    "headway": 1,
    "model": "Qwen/Qwen2-0.5B",
    "adapter": {"method": "lora", "rank": 4},
    "data": {"rows": 1000, "length": 100},
    "max_length": 128,
    "micro_batch": 8,
    "run": {"machine": "RTX 4090"},
}


def plan(**changes: Any) -> Plan:
    """The small plan, with top-level keys replaced (None removes one)."""
    merged = {key: value for key, value in {**SMALL, **changes}.items() if value is not None}
    return plan_from_mapping(merged).plan


def setting(made: Plan, rates: Rates = "predicted", measurements: Iterable[Measurement] = (), seed: int = 0) -> Setting:
    """A setting with the shipped calibration."""
    calibration = shipped_calibration()
    return make_setting(
        made, resolve(made, calibration), calibration, SPEED,
        rates=rates, machine="", measurements=tuple(measurements), seed=seed,
    )  # fmt: skip


def estimated(made: Plan, rates: Rates = "predicted", **more: Any) -> Estimate:
    """The estimate of a plan."""
    used = setting(made, rates, **more)
    return assemble(used, Predictor(used))


def stage(rates: Rates = "predicted", **changes: Any) -> StageEstimate:
    """The only stage of the small plan with changes."""
    return estimated(plan(**changes), rates).experiments[0].stages[0]
