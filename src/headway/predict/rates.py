"""What a device really reaches: matrix products and memory traffic, at their best, by dtype.

Owns the way from a datasheet (or a published measurement of it) to an achievable rate. How much of that a training
stack uses, and what happens at small sizes, is `step_time`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from headway.domain.errors import Finding
from headway.domain.machine import Device
from headway.predict.values import Constants, Value, constant, smaller

_HALF_RATE = 2.5
"""bf16 peak / fp32 peak up to this: tensor cores cut to half rate with fp32 accumulation (GeForce; 2.0), which are
rarely power-limited. Source: ratios of `devices.csv`; Ampere GA102 and Ada whitepapers."""
_GRAPHICS = 6.0
"""... and up to this: full-rate graphics dies (A10, A40, L4, L40S; about 4), which are limited by their power.
Above it: data-centre parts (8 to 30)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rate:
    """FLOP per second of one dtype on one device."""

    flop_per_s: Value
    """Best matrix-product rate that can be reached."""
    peak_flop_per_s: float
    """Dense peak that no product can exceed."""
    warnings: tuple[Finding, ...] = field(default=())


def dense_peak_flop_per_s(device: Device, dtype: str) -> float:
    """Dense peak of one device in `dtype`; where it has no such hardware, that of fp32, or else its largest (TPUs)."""
    peaks = device.peak_flop_per_s
    return peaks.get(dtype) or peaks.get("fp32") or max(peaks.values())


def _class(device: Device) -> str:
    """Which published ceilings speak for the device: `half_rate`, `graphics`, or its architecture generation."""
    dense = device.peak_flop_per_s.get("bf16", device.peak_flop_per_s.get("fp16", 0.0))
    ratio = dense / device.peak_flop_per_s.get("fp32", dense or 1.0)
    if ratio <= 1.2:
        return device.generation
    return "half_rate" if ratio <= _HALF_RATE else "graphics" if ratio <= _GRAPHICS else device.generation


def _emulated(device: Device, dtype: str, constants: Constants) -> Rate:
    """A dtype without hardware: bf16 on T4 and V100 runs in fp32 units with conversions (T4: 2.25 against 25 TFLOP/s).

    Source: chsasank/device-benchmarks README (achievable.csv), T4 and V100 rows.
    """
    peak = dense_peak_flop_per_s(device, dtype)
    published = device.achievable_flop_per_s.get(dtype)
    rate: Value = published if published else peak * constant(constants, "emulated_share")
    if dtype == "fp32":  # accelerators whose vendors print no fp32 figure split it into passes of narrower products
        return Rate(flop_per_s=smaller(rate, peak), peak_flop_per_s=peak)
    better = "fp16" if "fp16" in device.peak_flop_per_s else "fp32"
    warning = Finding(
        code="emulated-dtype",
        severity="warning",
        message=f"{device.name} has no {dtype} hardware; it is emulated, several times slower than {better}",
        evidence={"device": device.name, "dtype": dtype},
        hint=f"Use {better} on this device",
    )
    return Rate(flop_per_s=smaller(rate, peak), peak_flop_per_s=peak, warnings=(warning,))


def _narrower(device: Device, dtype: str) -> str | None:
    """The dtype that runs instead where a narrow one has no hardware: fp8 on A100 computes in bf16, tf32 in fp32."""
    for wider in {"fp8": ("bf16", "fp16"), "int8": ("fp16", "bf16"), "tf32": ("fp32",)}.get(dtype, ()):
        if wider in device.peak_flop_per_s:
            return wider
    return None


def matmul_rate(device: Device, dtype: str, constants: Constants) -> Rate:
    """Achievable rate of large matrix products of `dtype`: published where somebody measured it, else a share of peak.

    Shares (`matmul_share.CLASS`) come from the ratio of published ceilings to datasheets (`catalog` achievable rates).
    A dtype without hardware is emulated and warned of. Never above the dense peak.
    """
    peak = device.peak_flop_per_s.get(dtype)
    if peak is None:
        instead = _narrower(device, dtype)
        return matmul_rate(device, instead, constants) if instead else _emulated(device, dtype, constants)
    same = ("bf16", "fp16") if dtype in ("bf16", "fp16") else (dtype,)  # tensor cores run both at one rate
    published = max((device.achievable_flop_per_s.get(one, 0.0) for one in same), default=0.0)
    if published:
        return Rate(flop_per_s=min(published, peak), peak_flop_per_s=peak)
    kind = "vector" if dtype == "fp32" else _class(device)
    return Rate(flop_per_s=smaller(peak * constant(constants, "matmul_share", kind), peak), peak_flop_per_s=peak)


def memory_rate(device: Device, constants: Constants) -> Value:
    """Achievable device-memory bandwidth in bytes per second; never above the datasheet's."""
    if device.achievable_bandwidth_bytes_per_s:
        return min(device.achievable_bandwidth_bytes_per_s, device.bandwidth_bytes_per_s)
    return smaller(1.0, constant(constants, "bandwidth_share")) * device.bandwidth_bytes_per_s
