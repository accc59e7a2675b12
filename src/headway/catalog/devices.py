"""Accelerators: which there are, and which one a name means.

Owns `devices.csv` and `achievable.csv`. How names are spelt is `names.py`; what a device costs is `offers.py`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType

from headway.catalog.names import DeviceName, is_slice, normalise, plain
from headway.catalog.tables import number, rows, words
from headway.domain.errors import UserError
from headway.domain.machine import Device

_PEAKS = {
    "fp32": "fp32_tflops",
    "tf32": "tf32_dense_tflops",
    "fp16": "fp16_dense_tflops_fp32acc",
    "bf16": "bf16_dense_tflops",
    "fp8": "fp8_dense_tflops",
    "int8": "int8_dense_tops",
}

MEMORY_TOLERANCE = (0.90, 1.08)
"""A stated memory means a device when it is within these multiples of the nominal one. Below: the driver, ECC and
the cloud keep a part (T4 15.1 of 16 GB, B300 262 of 288). Above: vendors' "24 GB" of GDDR are 24 GiB (1.074)."""


class Ambiguous(UserError):
    """A name that fits several devices; `candidates` are their full names."""


class Nonexistent(UserError):
    """A name for what was never made: a card with another memory, a model in another size; `candidates` exist."""


@dataclass(frozen=True, slots=True)
class _Entry:
    device: Device
    name: DeviceName
    aliases: tuple[DeviceName, ...]
    card: str
    """The name on the box, without form factor and memory (`A100`)."""
    line: str
    """The vendor's product line, within which a buyer compares memories."""
    slices: tuple[str, ...]
    """MIG slices that the card can be cut into."""


def _achieved() -> dict[str, dict[str, float]]:
    """Best published rate by device and dtype (and `bandwidth`); a later, better source does not hide an older one."""
    best: dict[str, dict[str, float]] = {}
    for row in rows("achievable"):
        rates = best.setdefault(row["device"], {})
        measured = {row["dtype"]: (row["achievable_tflops"], 1e12), "bandwidth": (row["mem_bw_gb_s"], 1e9)}
        for key, (value, unit) in measured.items():
            if value:
                rates[key] = max(rates.get(key, 0.0), float(value) * unit)
    return best


def _device(row: Mapping[str, str], achieved: Mapping[str, float]) -> Device:
    """One row of `devices.csv` in base units."""
    link = number(row["interconnect_gb_s_bidir"])
    pcie = number(row["pcie_gen"])
    return Device(
        name=row["name"],
        vendor=row["vendor"],
        generation=row["arch"],
        year=int(row["year"]),
        memory_bytes=float(row["mem_gb"]) * 1e9,
        bandwidth_bytes_per_s=float(row["mem_bw_gb_s"]) * 1e9,
        peak_flop_per_s=MappingProxyType(
            {dtype: float(row[column]) * 1e12 for dtype, column in _PEAKS.items() if row[column]}
        ),
        achievable_flop_per_s=MappingProxyType({k: v for k, v in achieved.items() if k != "bandwidth"}),
        achievable_bandwidth_bytes_per_s=achieved.get("bandwidth"),
        interconnect=row["interconnect"],
        interconnect_bytes_per_s=None if link is None else link * 1e9,
        pcie_generation=None if pcie is None else int(pcie),
        board_limit_w=number(row["tdp_w"]),
        evidence=row["check"],
        source=row["source"],
        date=row["date"],
        notes=row["notes"],
    )


@cache
def _entries() -> tuple[_Entry, ...]:
    achieved = _achieved()
    return tuple(
        _Entry(
            _device(row, achieved.get(row["name"], {})),
            normalise(row["name"]),
            tuple(normalise(alias) for alias in words(row["aliases"])),
            row["card"],
            row["line"],
            words(row["mig"]),
        )
        for row in rows("devices")
    )


@cache
def devices() -> Mapping[str, Device]:
    """Every accelerator of the catalog by its full name (`RTX 4090`, `H100 SXM 80GB`), in the order of the file.

    Source: `data/devices.csv` (dense peaks with fp32 accumulation) with the best rates of `data/achievable.csv`.
    """
    return MappingProxyType({entry.device.name: entry.device for entry in _entries()})


def find_device(text: str, *, memory_bytes: float | None = None) -> Device:
    """The one device that a name means: `4090`, `Tesla T4`, `A100-SXM4-80GB`, `h100 pcie`.

    `memory_bytes` is the memory that came beside the name; it must be near the nominal (`MEMORY_TOLERANCE`).
    Raises `Ambiguous` for a name that fits several devices, `UserError` for an unknown one (nearest names offered)
    and for a memory that no card of that name has (what may be meant is offered).
    """
    found = matching_devices(text, memory_bytes=memory_bytes)
    if len(found) > 1:
        names = tuple(device.name for device in found)
        raise Ambiguous(
            "a GPU name must mean one device",
            got=f"{text!r}, which may be {_either(names)}",
            hint=f"Write the whole name, for example `gpu: {names[0]}`",
            candidates=names,
        )
    return found[0]


def matching_devices(text: str, *, memory_bytes: float | None = None) -> tuple[Device, ...]:
    """All devices that a name may mean, at least one; errors as `find_device`, but several are an answer."""
    name = normalise(text)
    stated = name.memory_bytes if memory_bytes is None else memory_bytes
    if not name.words:
        raise UserError("a GPU must be named", got=repr(text), hint="For example `gpu: RTX 4090`")
    if is_slice(text):
        raise UserError(
            "a MIG slice is a part of a device", got=repr(text), hint="Name the whole GPU, for example `H100 SXM 80GB`"
        )
    exact = [e for e in _entries() if name in e.aliases]
    if memory_bytes is not None and name.memory_bytes is not None:
        meant = (name.memory_bytes, *(e.device.memory_bytes for e in exact))  # GH200 480GB: of its host, by alias
        if not any(_near(memory_bytes, one) for one in meant):
            raise UserError(
                "a GPU's name and memory must agree",
                got=f"{text!r} with {memory_bytes / 1e9:.4g} GB",
                hint="Drop one of the two",
            )
    same = exact or [e for e in _entries() if name.words in (e.name.words, *(alias.words for alias in e.aliases))]
    same = same or [e for e in _entries() if name.tells and name.words < e.name.words]
    if not same:
        raise _unknown(text)
    if exact or stated is None:
        return tuple(entry.device for entry in same)
    fitting = tuple(filter(None, (_with_memory(entry.device, stated) for entry in same)))
    if not fitting:
        raise _impossible(text, same, stated)
    return fitting


def _near(stated: float, nominal: float) -> bool:
    return MEMORY_TOLERANCE[0] * nominal <= stated <= MEMORY_TOLERANCE[1] * nominal


def _with_memory(device: Device, stated: float) -> Device | None:
    """The device if it comes with that memory. Unified memory is sold in many sizes: the stated one is taken.

    That of a CPU is whatever was put into the machine.
    """
    if device.is_assumed:
        return replace(device, memory_bytes=stated)
    if device.interconnect == "unified" and stated <= device.memory_bytes * MEMORY_TOLERANCE[1]:
        return replace(device, memory_bytes=stated)
    return device if _near(stated, device.memory_bytes) else None


def _label(entry: _Entry) -> str:
    """Card and memory as a buyer says them: `A100 40GB`."""
    return f"{entry.card} {entry.device.memory_bytes / 1e9:.0f}GB"


def _either(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _unknown(text: str) -> UserError:
    cards = {plain(entry.card): entry.card for entry in _entries()}
    near = tuple(cards[name] for name in difflib.get_close_matches(plain(text), cards, n=3, cutoff=0.5))
    nearest = f"Nearest known: {_either(near)}. " if near else ""
    return UserError(
        "a GPU must be in the catalog",
        got=repr(text),
        hint=nearest + "`headway catalog devices` lists all; a datasheet row can be added to the catalog",
        candidates=near,
    )


def _impossible(text: str, same: Sequence[_Entry], stated: float) -> Nonexistent:
    """The card exists, but not with that memory: same memory on another card, same card, or a slice of it."""
    form = normalise(text).words & {"sxm", "pcie"}
    shortest = min((entry.card for entry in same), key=len)
    same = [entry for entry in same if entry.card == shortest]
    near = [e for e in _entries() if e.device.vendor == same[0].device.vendor and _near(stated, e.device.memory_bytes)]
    others = [e for e in near if e.line == same[0].line]
    others = others or [e for e in near if e.device.generation == same[0].device.generation]
    others = [e for e in others if form <= e.name.words] or others
    label = (lambda entry: entry.device.name) if form else _label
    sliced = [f"MIG {'/'.join(cuts)} slice of {label(e)}" for e in same if (cuts := _slices(e, stated))]
    meant = tuple(dict.fromkeys([*map(label, others), *map(label, same), *sliced]))
    return Nonexistent(
        f"no {shortest}{' SXM' * ('sxm' in form)}{' PCIe' * ('pcie' in form)} has {stated / 1e9:.4g} GB of memory",
        got=repr(text),
        hint=f"It may mean {_either(meant)}; write the one you have",
        candidates=meant,
    )


def _slices(entry: _Entry, stated: float) -> tuple[str, ...]:
    """MIG slices with about the stated memory."""
    sizes = ((cut, float(cut.split(".")[1].removesuffix("gb")) * 1e9) for cut in entry.slices)
    return tuple(cut for cut, size in sizes if _near(stated, size))
