"""Why training became slower, or is slow: each cause with the symptom that was measured and what to do about it.

Owns the codes HW9xx, their order and their sentences. They speak of a run, not of a plan, so they stand beside the
rules of `check/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from headway.domain.errors import Finding
from headway.domain.units import format_bytes, format_duration, format_share
from headway.track.rhythm import Line

SLOWED: Final = {"evaluation": ("HW904", "evaluation", 0.5), "checkpoint": ("HW905", "save", 0.1)}
"""Phases beside the steps: code, what one is called, and the share of the whole time from which they are in the way."""
EXPLAINS = 0.5
"""Share of a slowdown that a cause has to account for."""
SLOW_LOAD_S = 60.0
SLOW_LOAD_SHARE = 0.10
"""Seconds and share of the run from which loading is worth a word; this and all shares here are assumed."""
WAITING_SHARE = 0.10
"""Of the steps' time, from which waiting for data is."""
FULL_SHARE = 0.92
"""Of a device's memory, from which it is almost full: an allocator that has its blocks in pieces begins to retry."""
IO_WAIT_SHARE = 0.10
IDLE_SHARE = 0.30
"""Processors wait for disks above the first share of their time, and have nothing to do below the second."""
AT_LIMIT = 0.97
"""Of its power limit, from which a device is at it: samples are means."""
SWAPPED_BYTES = 100e6
OVERLOAD = 1.1
OVERLOAD_GROWN = 1.2
"""Processes that want each processor, from which there are too many, and by what factor they must have grown."""
BUSY_SHARE = 0.95
LAZY_SHARE = 0.5
"""A process is busy all the time above the first share of a processor, a device idles below the second."""
FAULTS_PER_S = 20_000.0
SYSTEM_SHARE = 0.08
"""Pages that a process is given anew in a second, and the system's share of its processor time, from which both are
worth a word. A page of 4 KiB takes some 3 microseconds: SmolLM2-135M in training on one core of a CPU has 82,000
faults a second and 15 % of its time in the system; with freed memory kept its step takes 25 % less (2026-11-21)."""
FLAT = Line(0.0, 0.0)
HOT_C = 83.0
"""Where NVIDIA's data-centre and desktop boards begin to lower their clocks (slowdown temperatures are 83 to 95 C)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One reason for slow steps."""

    code: str
    name: str
    symptom: str
    """What has to be measured for it to be said."""
    remedy: str


CAUSES: Final[Mapping[str, Cause]] = {
    cause.code: cause
    for cause in (
        Cause(code="HW901", name="longer rows", symptom="the tokens of a step grew, and the time with them",
              remedy="Shuffle or group rows by length; plan with the tokens that are still to come."),
        Cause(code="HW902", name="waiting for data", symptom="steps wait for batches, while processors are busy",
              remedy="Tokenize and extract features once, before training, and cache them; more loader workers."),
        Cause(code="HW903", name="slow storage", symptom="steps wait for batches, while processors idle or wait",
              remedy="Copy the dataset to a local SSD, or hold it in memory; read large files, not many small ones."),
        Cause(code="HW904", name="evaluation in the way", symptom="evaluations take much longer, or most of the time",
              remedy="Evaluate less often, on fewer rows, or with a larger batch."),
        Cause(code="HW905", name="saving in the way", symptom="saves take much longer, or much of the time",
              remedy="Save less often, adapters only, or to a faster disk."),
        Cause(code="HW906", name="throttling", symptom="the clock fell, or the device is hot or at its power limit",
              remedy="Check cooling and power limit (nvidia-smi -q -d CLOCK,PERFORMANCE); plan with the lower clock."),
        Cause(code="HW907", name="memory pressure", symptom="memory is almost full, the allocator retries, or it swaps",
              remedy="Reduce the micro-batch (raise accumulation), checkpoint activations, or take a smaller model."),
        Cause(code="HW908", name="busy neighbours", symptom="the machine runs more than its processors can",
              remedy="Find what else runs (top, nvidia-smi); pin processors, or ask for a machine of your own."),
        Cause(code="HW909", name="processor-bound", symptom="one process is busy all the time while the device idles",
              remedy="More loader workers, larger batches, fewer synchronisations (.item(), prints) in the loop."),
        Cause(code="HW910", name="slow loading", symptom="loading the model takes a large part of the run",
              remedy="Keep weights on a local disk, in safetensors; or take a smaller model while trying things out."),
        Cause(code="HW911", name="memory asked anew", symptom="much of the time the system maps the same pages again",
              remedy="Keep freed memory: MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=1000000000000 in the environment "
                     "(glibc), or preload jemalloc or tcmalloc."),
        Cause(code="HW919", name="slower", symptom="steps became slower, and nothing that was measured explains it",
              remedy="Let device samples be taken (headway.track does); look at the loop for work that grows."),
    )
}  # fmt: skip
"""By code, in the order in which they are asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Means over steps that follow each other."""

    seconds: float
    """Of a step, waiting included."""
    wait_s: float = 0.0
    tokens: float = 0.0
    line: Line = FLAT
    machine: Mapping[str, float] = field(default_factory=dict)


def explained(before: Span, after: Span, step: int, *, crept: bool = False) -> Finding:
    """What made the steps after `step` slower than those before: the first cause that accounts for it.

    `crept`: they became slower little by little, from `step` on.
    """
    more_s = after.seconds - before.seconds
    looked = ((code, look(before, after, more_s)) for code, look in _LOOKS)
    code, said = next((found for found in looked if found[1]), ("HW919", "nothing that was measured explains it"))
    share = more_s / max(before.seconds, 1e-9)
    change = f"{format_duration(before.seconds)} to {format_duration(after.seconds)}"
    slower = f"crept up by {format_share(share)}" if crept else f"take {format_share(share)} longer"
    evidence: dict[str, object] = {"step": step, "before_s": before.seconds, "after_s": after.seconds, "share": share}
    return finding(code, f"steps {slower} since step {step:,} ({change}): {said}", evidence)


def slower_rounds(kind: str, usual_s: float, seconds: float, step: int) -> Finding:
    """An evaluation or a save after `step` that took much longer than those before."""
    code, name, _ = SLOWED[kind]
    said = f"the {name} at step {step:,} took {format_duration(seconds)}, {format_duration(usual_s)} before"
    return finding(code, said, {"step": step, "before_s": usual_s, "after_s": seconds})


def finding(code: str, message: str, evidence: Mapping[str, object]) -> Finding:
    """The finding of one cause, with its remedy."""
    return Finding(code=code, severity="warning", message=message, evidence=evidence, hint=CAUSES[code].remedy)


def standing(seconds: Mapping[str, float], elapsed_s: float, machine: Mapping[str, float]) -> tuple[Finding, ...]:
    """What is slow in a run from its beginning: loading, waiting, memory; `seconds` by term.

    Nothing of a run whose steps have no times.
    """
    found: list[Finding] = []
    if "step" not in seconds:
        return ()  # without the time of steps nothing is a share of anything
    load_s, wait_s = seconds.get("load", 0.0), seconds.get("data_wait", 0.0)
    stepping_s = seconds.get("step", 0.0) + wait_s
    if load_s > SLOW_LOAD_S and load_s > SLOW_LOAD_SHARE * elapsed_s:
        said = f"loading took {format_duration(load_s)}, {format_share(load_s / elapsed_s)} of the time so far"
        found.append(finding("HW910", said, {"load_s": load_s}))
    if stepping_s > 0 and wait_s / stepping_s > WAITING_SHARE:
        code = "HW903" if _idle(machine) else "HW902"
        share = wait_s / stepping_s
        said = f"{format_share(share)} of the steps' time is waiting for data"
        found.append(finding(code, said, {"data_wait_share": share}))
    for kind, (code, name, most) in SLOWED.items():
        share = seconds.get(kind, 0.0) / max(elapsed_s, 1e-9)
        if share > most:
            words = f"{format_share(share)} of the time so far went into {name}s"
            found.append(finding(code, words, {"share": share}))
    said = _pressed({}, machine)
    if said:
        found.append(finding("HW907", said, dict(machine)))
    said = _one_busy(machine)
    if said:
        found.append(finding("HW909", said, dict(machine)))
    said = _remapped(machine)
    if said:
        found.append(finding("HW911", said, dict(machine)))
    return tuple(found)


def _remapped(machine: Mapping[str, float]) -> str:
    """Memory that the system gives and takes again and again; a GPU's steps do not depend on it."""
    faults, share = machine.get("page_faults_per_s", 0.0), machine.get("system_share", 0.0)
    if "memory_total_bytes" in machine or faults <= FAULTS_PER_S or share <= SYSTEM_SHARE:
        return ""
    return f"{format_share(share)} of its processor time is the system's, which maps {faults:,.0f} pages a second anew"


def _longer_rows(before: Span, after: Span, more_s: float) -> str:
    """By the line through the steps before; by plain proportion where their tokens did not vary."""
    if not before.tokens or after.tokens <= before.tokens:
        return ""
    ratio = after.tokens / before.tokens
    line = before.line if before.line.per_token_s else Line(0.0, (before.seconds - before.wait_s) / before.tokens)
    if (line.at(after.tokens) - line.at(before.tokens)) < EXPLAINS * more_s:
        return ""
    return f"their rows are {format_share(ratio - 1.0)} longer"


def _waiting(before: Span, after: Span, more_s: float) -> str:
    more_wait_s = after.wait_s - before.wait_s
    if more_wait_s < EXPLAINS * more_s or more_wait_s <= 0:
        return ""
    return f"waiting for data rose from {format_duration(before.wait_s)} to {format_duration(after.wait_s)}"


def _computing_data(before: Span, after: Span, more_s: float) -> str:
    return "" if _idle(after.machine) else _waiting(before, after, more_s)


def _reading_data(before: Span, after: Span, more_s: float) -> str:
    return _waiting(before, after, more_s) if _idle(after.machine) else ""


def _idle(machine: Mapping[str, float]) -> bool:
    """Whether processors wait for disks, or have nothing to do; False where nobody looked."""
    return machine.get("io_wait_share", 0.0) > IO_WAIT_SHARE or machine.get("cpu_busy_share", 1.0) < IDLE_SHARE


def _throttled(before: Span, after: Span, more_s: float) -> str:
    was, now = before.machine.get("clock_hz", 0.0), after.machine.get("clock_hz", 0.0)
    heat = after.machine.get("temperature_c", 0.0)
    if was and now and (was / now - 1.0) * before.seconds >= EXPLAINS * more_s:
        hot = f", at {heat:.0f} °C" if heat else ""
        return f"the clock fell from {was / 1e6:,.0f} to {now / 1e6:,.0f} MHz{hot}"
    if not (was and now) and heat >= HOT_C > before.machine.get("temperature_c", heat):
        return f"the device reached {heat:.0f} °C"
    limit, power = after.machine.get("power_limit_w", 0.0), after.machine.get("power_w", 0.0)
    if limit and power >= AT_LIMIT * limit > before.machine.get("power_w", power):
        return f"the device is at its power limit of {limit:.0f} W"
    return ""


def _memory(before: Span, after: Span, more_s: float) -> str:
    return _pressed(before.machine, after.machine)


def _pressed(was: Mapping[str, float], now: Mapping[str, float]) -> str:
    """What presses on memory now and did not before; `was` is empty where there is no before."""
    retries = now.get("allocator_retries", 0.0) - was.get("allocator_retries", 0.0)
    if retries >= 1:
        return f"the allocator had to free its cache {retries:.0f} times or more"
    swapped = now.get("swap_bytes", 0.0) - was.get("swap_bytes", now.get("swap_bytes", 0.0))
    if swapped > SWAPPED_BYTES:
        return f"{format_bytes(swapped)} more were swapped out"
    held, whole = now.get("memory_bytes", 0.0), now.get("memory_total_bytes", 0.0)
    if whole and held >= FULL_SHARE * whole > was.get("memory_bytes", 0.0):
        return f"{format_bytes(held)} of the device's {format_bytes(whole)} are in use"
    return ""


def _neighbours(before: Span, after: Span, more_s: float) -> str:
    """Load per processor grew beyond 1: more wants to run than can."""
    was, now = before.machine.get("load_per_cpu", 0.0), after.machine.get("load_per_cpu", 0.0)
    if now > OVERLOAD and now > OVERLOAD_GROWN * was:
        return f"{now:.1f} processes want each processor, {was:.1f} before"
    return ""


def _bound(before: Span, after: Span, more_s: float) -> str:
    """Said of a slowdown only where it was not so before: what stayed explains no change."""
    return "" if _one_busy(before.machine) else _one_busy(after.machine)


def _one_busy(machine: Mapping[str, float]) -> str:
    busy, device = machine.get("own_cpu_share", 0.0), machine.get("utilisation", 1.0)
    if busy >= BUSY_SHARE and device < LAZY_SHARE:
        return f"the process keeps a processor busy while the device works {format_share(device)} of the time"
    return ""


_LOOKS: Final[tuple[tuple[str, Callable[[Span, Span, float], str]], ...]] = (
    ("HW901", _longer_rows),
    ("HW902", _computing_data),
    ("HW903", _reading_data),
    ("HW906", _throttled),
    ("HW907", _memory),
    ("HW908", _neighbours),
    ("HW909", _bound),
)
