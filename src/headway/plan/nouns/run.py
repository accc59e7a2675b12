"""Circumstance: machines, prices, budgets, alerts.

Owns the making of `Run` and `MachineSpec`; what a machine's name stands for is `catalog/`.
"""

from __future__ import annotations

from difflib import get_close_matches

from headway.domain.plan import MachineSpec, Run
from headway.domain.statement import Value
from headway.plan.nouns.data import unknown_name
from headway.plan.reading import forms, values
from headway.plan.reading.values import fault
from headway.plan.reading.yaml import Map, Node, Seq, Text


def run(node: Node | None) -> Run:
    """The `run` block; its defaults where there is none."""
    entry = values.mapping(node) if node is not None else Map()
    machines = {id_: machine(id_, item) for id_, item in values.mapping(entry.get("machines", Text(""))).items()}
    chosen = ""
    if "machine" in entry:
        chosen, spec = _chosen(entry["machine"], machines)
        machines = {**machines, chosen: spec}
    budgets = entry.get("budget", Seq())
    alerts = entry.get("alert", Seq())
    return Run(
        machine=chosen,
        machines=machines,
        pricing=_text(entry, "pricing", "on-demand"),
        idle=_text(entry, "idle", "keep"),
        hours_per_day=forms.hours_a_day(entry["hours_per_day"]) if "hours_per_day" in entry else 24.0,
        budget=tuple(forms.budget(item) for item in (budgets if isinstance(budgets, Seq) else [budgets])),
        deadline=forms.date(entry["deadline"]) if "deadline" in entry else "",
        session=_quantity(entry, "session", "s"),
        buffer=_quantity(entry, "buffer", "share"),
        contingency=_each(entry, "contingency", "s"),
        reserve=_quantity(entry, "reserve", "usd"),
        measure=_measure(values.mapping(entry.get("measure", Text("")))),
        alert=tuple(
            _alert(item) for item in (alerts if isinstance(alerts, Seq) else [alerts]) if isinstance(item, Map)
        ),
        engine=_text(entry, "engine", "local"),
        framework=_text(entry, "framework", ""),
        jobs=values.integer(entry["jobs"], 1) if "jobs" in entry else 1,
        command=_text(entry, "command", ""),
    )


def _chosen(node: Node, machines: dict[str, MachineSpec]) -> tuple[str, MachineSpec]:
    """The plan's machine: one of `machines`, one in place, or a GPU by name."""
    if isinstance(node, Map) and not values.is_long(node):
        words = node.get("instance") or node.get("gpu")
        id_ = values.name(words).words if words is not None else "machine"
        return id_, machine(id_, node)
    gpu = values.name(node)
    if gpu.use in machines:
        return gpu.use, machines[gpu.use]
    near = get_close_matches(gpu.use, machines, n=1, cutoff=0.75)
    if near:
        raise unknown_name("a machine", gpu.use, machines, values.used(node), "")
    return gpu.words, MachineSpec(id=gpu.words, gpu=gpu, where=gpu.where)


def machine(id_: str, node: Node) -> MachineSpec:
    """One machine as the plan describes it."""
    entry = values.mapping(node)
    spot = values.mapping(entry.get("spot", Text("")))
    billing = values.mapping(entry.get("billing", Text("")))
    _refuse_bid(spot)
    return MachineSpec(
        id=id_,
        gpu=values.name(entry["gpu"]) if "gpu" in entry else None,
        provider=_text(entry, "provider", ""),
        instance=values.name(entry["instance"]) if "instance" in entry else None,
        region=_text(entry, "region", ""),
        gpus=values.integer(entry["gpus"], 1) if "gpus" in entry else None,
        nodes=values.integer(entry["nodes"], 1) if "nodes" in entry else 1,
        memory=_quantity(entry, "memory", "bytes"),
        link=_text(entry, "link", ""),
        price=_quantity(entry, "price", "usd_per_hour"),
        spot_price=_quantity(spot, "price", "usd_per_hour"),
        spot_discount=_quantity(spot, "discount", "share"),
        hazard=_quantity(spot, "hazard", "per_hour"),
        notice=_quantity(spot, "notice", "s"),
        max_price=_quantity(spot, "max_price", "usd_per_hour"),
        billing_unit=_text(billing, "unit", ""),
        billing_block=_quantity(billing, "block", "s"),
        billing_minimum=_quantity(billing, "minimum", "s"),
        power=_power(entry.get("power")),
        electricity=_quantity(entry, "electricity", "usd_per_kwh"),
        where=node.where,
    )


def _refuse_bid(spot: Map) -> None:
    """Raises PlanError for a highest bid that is below the price it is to pay."""
    price, bid = (_quantity(spot, key, "usd_per_hour") for key in ("price", "max_price"))
    if price is not None and bid is not None and not (price.unknown or bid.unknown) and price.mid > bid.mid:
        raise fault(
            spot["max_price"], "a spot machine is had at its price: max_price is not below it",
            f"{bid.text} for {price.text}", f"Write max_price: {price.text}, or leave it out.", "spot.max_price",
        )  # fmt: skip


def _power(node: Node | None) -> dict[str, Value]:
    if node is None:
        return {}
    if isinstance(node, Map) and not values.is_long(node) and not values.is_statistics(node):
        return {key: values.quantity(item, "x" if key == "pue" else "w") for key, item in node.items()}
    return {"stated": values.quantity(node, "w")}


def _measure(entry: Map) -> dict[str, object]:
    found: dict[str, object] = {}
    if "batches" in entry:
        found["batches"] = values.integer(entry["batches"], 1)
    if "budget" in entry:
        found["budget"] = values.quantity(entry["budget"], "s")
    if "command" in entry:
        found["command"] = values.text(entry["command"])
    return found


def _alert(entry: Map) -> dict[str, object]:
    found: dict[str, object] = {key: values.quantity(entry[key], "s") for key in ("step", "wall") if key in entry}
    if "check" in entry:
        check = entry["check"]
        found["check"] = values.plain(check) if isinstance(check, Map) else values.texts(check)
    return found


def _text(entry: Map, key: str, default: str) -> str:
    return values.text(entry[key]) if key in entry else default


def _quantity(entry: Map, key: str, dimension: str) -> Value | None:
    return values.quantity(entry[key], dimension) if key in entry else None


def _each(entry: Map, key: str, dimension: str) -> dict[str, Value]:
    return {name: values.quantity(item, dimension) for name, item in values.mapping(entry.get(key, Text(""))).items()}
