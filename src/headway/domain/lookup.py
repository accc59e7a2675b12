"""What the names of a plan stand for: architectures, machines, billing rules, as the catalog resolved them.

Owns the nouns that `app` hands to the spine, so that no spine room reads a catalog. Resolving is `catalog/` and `app/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headway.domain.experiment import Architecture, Lengths
from headway.domain.machine import BillingRule, Node, Offer
from headway.domain.plan import MachineSpec
from headway.domain.units import Range


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one hour of a whole machine costs, and who says so."""

    usd_per_hour: Range
    kind: str
    """`stated` by the plan or `measured` (a published price of the catalog)."""
    source: str
    priced_on: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine of the plan with everything that is known about it."""

    name: str
    node: Node
    spec: MachineSpec
    price: Price | None = None
    """On demand; None: unknown, or an owned machine."""
    spot_price: Price | None = None
    billing: BillingRule | None = None
    hazard_per_hour: Range | None = None
    provider: str = ""
    instance: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """Resolved names. Keys of `architectures` are model names as the plan uses them (`Name.use`)."""

    architectures: Mapping[str, Architecture]
    machines: Mapping[str, Machine]
    lengths: Mapping[str, Lengths]
    """Token lengths by dataset id, priors included."""
    offers: tuple[Offer, ...] = ()
    """Catalog offers of the same device, for the comparison table."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """How a name was resolved, where that is worth saying: name -> sentence."""
