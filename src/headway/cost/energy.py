"""Electricity: joule and dollars of GPU time, with the watt named.

Owns the energy model and its assumed shares. Who pays for electricity is decided here too: the owner of a machine
does, a renter does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from headway.cost.joint import drawn
from headway.domain.lookup import Machine
from headway.domain.spread import Kind, Spread, total, total_of
from headway.domain.statement import Value
from headway.domain.units import Range

JOULE_PER_KWH: Final = 3.6e6
NODE_PER_GPU: Final = 1.82
"""Rated 10.2 kW of an 8 x H100 node over 8 x 0.7 kW: host, network cards and fans included (arXiv 2412.08602)."""
NODE_SHARE: Final = Range(0.55, 0.76, 0.82)
"""Average draw over rated power: 0.76 in compute-intensive training (arXiv 2506.14551), 0.82 the most that was seen
(2412.08602), 0.55 where the GPUs wait."""
PUE_OWNED: Final = 1.0
"""A computer at a desk: nobody cools it."""
PUE_DATA_CENTRE: Final = 1.58
"""Industry average of 2023 (Uptime Institute, as in carbontracker 2.4.7), where the plan states none."""
SOURCE: Final = "assumed shares of rated power: arXiv 2412.08602 and 2506.14551 (8 x H100), 2026-11-21"


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """Energy of GPU time, and what its electricity costs."""

    joule: Spread | None
    """None where neither the plan nor the datasheet names a wattage."""
    usd: Spread | None
    """None for a renter, or where no electricity price is stated; `notes` say which."""
    terms: Mapping[str, Spread]
    """Joule by `gpus`, `host`, `cooling`; they sum to `joule`."""
    basis: str
    """Which watt this is, in words."""
    notes: tuple[str, ...] = ()

    @property
    def kwh(self) -> Spread | None:
        """Energy in kWh."""
        return None if self.joule is None else self.joule * (1 / JOULE_PER_KWH)


def is_owned(machine: Machine) -> bool:
    """True when nobody rents the machine out: no price, no provider, no instance."""
    return machine.price is None and machine.spot_price is None and not machine.provider and not machine.instance


def energy(gpu_s: Spread, machine: Machine) -> Energy:
    """Energy of `gpu_s` GPU-seconds on `machine`, and its price for an owner.

    A stated wattage counts as it stands: `wall` for the whole machine, `average` or a bare figure for each GPU. A
    board limit, stated or the device's, is scaled to a node and to its usual draw (energy facts: `NODE_PER_GPU`,
    `NODE_SHARE`), kind `assumed`. `pue` multiplies what is left. Idle time is not counted.
    """
    terms, basis, notes = _terms(gpu_s, machine)
    if not terms:
        return Energy(joule=None, usd=None, terms={}, basis=basis, notes=notes)
    joule, tariff, usd = total_of(terms), machine.spec.electricity, None
    if not is_owned(machine):
        notes = (*notes, "electricity is part of the rent")
    elif tariff is None or tariff.unknown:
        notes = (*notes, "no electricity price is stated")
    else:
        usd_per_kwh = drawn(tariff.range, "stated", tariff.source, like=gpu_s, stream="tariff")
        usd = joule.times(usd_per_kwh) * (1 / JOULE_PER_KWH)
        usd = usd.relabelled(joule.kind, usd.source)
    return Energy(joule=joule, usd=usd, terms=terms, basis=basis, notes=notes)


def _terms(gpu_s: Spread, machine: Machine) -> tuple[dict[str, Spread], str, tuple[str, ...]]:
    """Joule by term, the words for the watt, and remarks; no terms where no wattage is known."""
    stated = {name: value for name, value in machine.spec.power.items() if not value.unknown}
    pue = stated.get("pue")
    if "wall" in stated:
        terms = {"gpus": _joule(gpu_s, stated["wall"]) * (1 / machine.node.total_gpus)}
        basis = "draw of the whole machine at the wall, as stated, shared by its GPUs"
        return _with_cooling(terms, pue, PUE_OWNED, gpu_s), basis, ()
    for name, words in (("average", "average draw of a GPU, as stated"), ("stated", "watt for each GPU, as stated")):
        if name in stated:
            terms = {"gpus": _joule(gpu_s, stated[name])}
            return _with_cooling(terms, pue, PUE_OWNED, gpu_s), words, ("the host is not counted",)
    return _from_limit(gpu_s, machine, stated.get("board_limit"), pue)


def _from_limit(
    gpu_s: Spread, machine: Machine, stated: Value | None, pue: Value | None
) -> tuple[dict[str, Spread], str, tuple[str, ...]]:
    """The default: board limit × node over GPU × usual share of the node's rated power."""
    device = machine.node.device
    limit = stated.range if stated else None if device.board_limit_w is None else Range.point(device.board_limit_w)
    if limit is None:
        return {}, "unknown", (f"no board limit of {device.name} is known; state one under power",)
    kind: Kind = "assumed"
    watt = drawn(limit, kind, "", like=gpu_s, stream="watt")
    share = drawn(NODE_SHARE, kind, SOURCE, like=gpu_s, stream="share")
    gpus = gpu_s.times(watt).times(share).relabelled(kind, SOURCE)
    basis = f"board limit of {limit.mid:g} W{' as stated' if stated else ''} × {NODE_PER_GPU} for the node × usual draw"
    notes = () if device.generation == "Hopper" else ("the shares are measured on H100 nodes only: extrapolated",)
    default = PUE_OWNED if is_owned(machine) else PUE_DATA_CENTRE
    return _with_cooling({"gpus": gpus, "host": gpus * (NODE_PER_GPU - 1)}, pue, default, gpu_s), basis, notes


def _with_cooling(terms: dict[str, Spread], stated: Value | None, default: float, like: Spread) -> dict[str, Spread]:
    """The terms, and what the building adds: (PUE - 1) × all of them."""
    pue = stated.range if stated else Range.point(default)
    if pue.high <= 1:
        return terms
    above = Range(max(pue.low - 1, 0.0), max(pue.mid - 1, 0.0), pue.high - 1)
    factor = drawn(above, "stated" if stated else "assumed", "", like=like, stream="pue")
    inside = total(terms.values())
    return {**terms, "cooling": inside.times(factor).relabelled(inside.kind, inside.source)}


def _joule(gpu_s: Spread, watt: Value) -> Spread:
    product = gpu_s.times(drawn(watt.range, "stated", watt.source, like=gpu_s, stream="watt"))
    return product.relabelled(gpu_s.kind, product.source)
