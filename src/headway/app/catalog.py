"""The verb `catalog`: devices, offers and models as pages.

Owns what is shown of a row and in what order. The data and the meaning of names are `catalog/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from headway.catalog import find_offers, matching_devices
from headway.catalog.devices import devices
from headway.catalog.models import models
from headway.domain.errors import UserError
from headway.domain.experiment import Architecture
from headway.domain.machine import Device, Offer
from headway.domain.units import format_bytes, format_count
from headway.report.figures import UNKNOWN, fixed
from headway.report.view import Column, Note, Page, Section, View, by_columns
from headway.work.parameters import count_parameters

DTYPES = ("fp32", "tf32", "fp16", "bf16", "fp8")


def devices_page(name: str | None = None) -> Page:
    """All devices, or those that `name` may mean. Raises UserError for a name that means none."""
    found = tuple(devices().values()) if name is None else matching_devices(name)
    records = [_device(device) for device in found]

    def view() -> View:
        columns = [
            (Column(name="Device"), [device.name for device in found]),
            (Column(name="year", align="right", drop=5), [str(device.year) for device in found]),
            (Column(name="memory", align="right"), [format_bytes(device.memory_bytes) for device in found]),
            (Column(name="GB/s", align="right"), [fixed(d.bandwidth_bytes_per_s / 1e9, 0) for d in found]),
            *((Column(name=f"{dtype}", align="right", drop=2 if dtype in ("tf32", "fp8") else 0),
               [_tflops(device, dtype) for device in found]) for dtype in DTYPES),
            (Column(name="W", align="right", drop=3),
             ["" if d.board_limit_w is None else fixed(d.board_limit_w, 0) for d in found]),
            (Column(name="date", drop=4), [device.date for device in found]),
        ]  # fmt: skip
        note = "Dense peaks in TFLOP/s with fp32 accumulation; empty: not in hardware. Sources: --format csv."
        return _view("devices", by_columns(columns, note=note), f"headway catalog offers {_quoted(found[0].name)}")

    return _page("devices", view, records)


def _device(device: Device) -> dict[str, Any]:
    peaks = {f"{dtype}_dense_flop_per_s": device.peak_flop_per_s.get(dtype) for dtype in (*DTYPES, "int8")}
    achieved = device.achievable_flop_per_s.get("bf16") or device.achievable_flop_per_s.get("fp16")
    return {
        "name": device.name,
        "vendor": device.vendor,
        "generation": device.generation,
        "year": device.year,
        "memory_bytes": device.memory_bytes,
        "bandwidth_bytes_per_s": device.bandwidth_bytes_per_s,
        **peaks,
        "achieved_16bit_flop_per_s": achieved,
        "interconnect": device.interconnect,
        "interconnect_bytes_per_s": device.interconnect_bytes_per_s,
        "board_limit_w": device.board_limit_w,
        "source": device.source,
        "date": device.date,
        "notes": device.notes,
    }


def _tflops(device: Device, dtype: str) -> str:
    peak = device.peak_flop_per_s.get(dtype)
    return "" if peak is None else fixed(peak / 1e12, 0 if peak >= 1e13 else 1)


def offers_page(
    device: str | None = None,
    *,
    provider: str | None = None,
    gpus: int | None = None,
    region: str | None = None,
    spot: bool = False,
    shown: int | None = None,
) -> Page:
    """Offers, cheapest GPU-hour first; the table shows the first `shown`, the other formats all.

    Raises UserError for a device or provider that the catalog does not know.
    """
    found = find_offers(device=device, provider=provider, gpus=gpus, region=region, spot=spot)
    if not found:
        words = (device, provider, gpus and f"{gpus} GPUs", region, spot and "spot")
        asked = ", ".join(str(word) for word in words if word)
        raise UserError("no offer fits", got=asked, hint="Ask for less at once; prices can also be stated in the plan")
    records = [_offer(offer) for offer in found]
    rows = found if shown is None else found[:shown]

    def view() -> View:
        hidden = len(found) - len(rows)
        note = f"{len(rows)} of {len(found)} offers; --all shows {hidden} more." if hidden else ""
        next_command = "headway estimate plan.yaml"
        return _view("offers", by_columns(_offer_columns(rows, spot), note=note), next_command)

    return _page("offers", view, records)


def _offer_columns(rows: Sequence[Offer], spot: bool) -> list[tuple[Column, list[str]]]:
    prices = [offer.spot_usd_per_hour if spot else offer.usd_per_hour for offer in rows]
    return [
        (Column(name="Provider", least=10), [offer.provider for offer in rows]),
        (Column(name="Instance", least=14), [offer.instance for offer in rows]),
        (Column(name="GPUs"), [f"{offer.gpus} × {offer.device}" for offer in rows]),
        (Column(name="$/h", align="right"), [_usd(price) for price in prices]),
        (Column(name="$/GPU-h", align="right"),
         [_usd(None if p is None else p / o.gpus) for p, o in zip(prices, rows, strict=True)]),
        (Column(name="spot $/h", align="right", drop=2), [] if spot else [_usd(o.spot_usd_per_hour, "") for o in rows]),
        (Column(name="region", least=8, drop=3), [offer.region for offer in rows]),
        (Column(name="priced"), [offer.priced_on for offer in rows]),
    ]  # fmt: skip


def _usd(amount: float | None, missing: str = UNKNOWN) -> str:
    return missing if amount is None else fixed(amount, 3 if amount < 1 else 2)


def _offer(offer: Offer) -> dict[str, Any]:
    return {
        "provider": offer.provider,
        "instance": offer.instance,
        "region": offer.region,
        "gpu": offer.device,
        "gpus": offer.gpus,
        "usd_per_hour": offer.usd_per_hour,
        "spot_usd_per_hour": offer.spot_usd_per_hour,
        "spot_basis": offer.spot_basis,
        "gpu_memory_bytes": offer.memory_bytes,
        "vcpus": offer.vcpus,
        "ram_bytes": offer.ram_bytes,
        "priced_on": offer.priced_on,
        "source": offer.source,
    }


def models_page(part: str | None = None) -> Page:
    """All models, or those whose name holds `part`. Raises UserError when there is none."""
    names = [name for name in models() if part is None or part.lower() in name.lower()]
    if not names:
        hint = "`headway catalog models` lists all; a plan may name any folder with a config.json"
        raise UserError("a model of the catalog is needed", got=repr(part), hint=hint)
    found = [models()[name] for name in names]
    records = [_model(model) for model in found]

    def view() -> View:
        columns = [
            (Column(name="Model", least=24), names),
            (Column(name="parameters", align="right"), [format_count(record["parameters"]) for record in records]),
            (Column(name="layers", align="right"), [str(model.layers + model.decoder_layers) for model in found]),
            (Column(name="hidden", align="right"), [f"{model.hidden:,}" for model in found]),
            (Column(name="heads", align="right", drop=3), [f"{model.heads}/{model.kv_heads}" for model in found]),
            (Column(name="ffn", align="right", drop=2), [f"{model.ffn:,}" for model in found]),
            (Column(name="vocab", align="right", drop=4), [f"{model.vocab:,}" for model in found]),
            (Column(name="experts", align="right", drop=1),
             [f"{model.experts_per_token} of {model.experts}" if model.experts else "" for model in found]),
        ]  # fmt: skip
        start = f"headway init --model {names[0]}"
        return _view("models", by_columns(columns, note="Heads: queries/keys and values."), start)

    return _page("models", view, records)


def _model(model: Architecture) -> dict[str, Any]:
    words = ("name", "family", "layers", "decoder_layers", "hidden", "heads", "kv_heads", "head_dim", "ffn", "vocab")
    more = ("tied", "gated", "experts", "experts_per_token", "max_positions", "source", "date")
    parameters = {"parameters": float(count_parameters(model).total)}
    return {word: getattr(model, word) for word in words} | parameters | {word: getattr(model, word) for word in more}


def _view(name: str, table: Any, next_command: str) -> View:
    """One table; an empty one is said."""
    items = (table,) if table.rows else (Note(text="Nothing."),)
    return View(title=f"Catalog: {name}", sections=(Section(title="", items=items),), next_command=next_command)


def _page(name: str, view: Any, records: Iterable[Mapping[str, Any]]) -> Page:
    """The table for people; all rows with every field for programs."""
    rows = list(records)
    return Page(view=view, document=lambda: {"schema": f"headway.catalog.{name}/1", name: rows}, rows=lambda: rows)


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text else text
