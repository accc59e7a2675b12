"""Energy constants and the carbon intensity of grids.

Owns `energy.csv` and `carbon.csv`. Prices of electricity are not shipped: ask the user.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from headway.catalog.tables import number, rows
from headway.domain.errors import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyConstant:
    """A ratio used to go from a board limit to energy drawn, with its range where one is known."""

    value: float
    low: float | None
    high: float | None
    source: str
    date: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GridIntensity:
    """Carbon emitted per unit of electricity in one country: yearly average, location based, operational only."""

    country: str
    iso3: str
    kg_co2_per_joule: float
    year: int
    source: str


@cache
def energy_constants() -> Mapping[str, EnergyConstant]:
    """Constants by key: `pue.unknown`, `pue.home`, `pue.<provider>`, `node_per_gpu_limit` (node board limit over the
    sum of its GPUs'), `draw_share_of_node_limit` (average draw in training over the node's limit).

    All are ratios without unit. Source: `data/energy.csv`.
    """
    return MappingProxyType(
        {
            row["key"]: EnergyConstant(
                value=float(row["value"]),
                low=number(row["low"]),
                high=number(row["high"]),
                source=row["source"],
                date=row["date"],
            )
            for row in rows("energy")
        }
    )


def grid_intensity(country: str) -> GridIntensity:
    """Carbon intensity of a country's grid, by ISO code (`DE`, `DEU`) or English name.

    Raises `UserError` for an unknown country. Source: Ember / Our World in Data (CC BY 4.0), `data/carbon.csv`.
    """
    wanted = country.strip().lower()
    for row in rows("carbon"):
        if wanted in (row["iso2"].lower(), row["iso3"].lower(), row["country"].lower()):
            return GridIntensity(
                country=row["country"],
                iso3=row["iso3"],
                kg_co2_per_joule=float(row["g_co2_per_kwh"]) / 1e3 / 3.6e6,
                year=int(row["year"]),
                source=row["source"],
            )
    raise UserError("a country must be known", got=repr(country), hint="Use its ISO code, for example `DE` or `USA`")
