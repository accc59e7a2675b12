"""Integrity of every shipped table: sources, dates, sane ratios, names that collide with nothing."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date
from importlib.resources import files

import pytest

from headway.catalog.devices import devices
from headway.catalog.names import normalise
from headway.catalog.offers import offers
from headway.catalog.tables import rows, words

TABLES = ("devices", "achievable", "offers", "billing", "carbon", "datasets", "energy", "models", "sizes")
LAST_DAY = date(2026, 11, 21)


def test_every_data_file_is_a_known_table() -> None:
    found = {entry.name for entry in (files("headway.catalog") / "data").iterdir() if entry.name.endswith(".csv")}
    assert found == {f"{table}.csv" for table in TABLES}


@pytest.mark.parametrize("table", TABLES)
def test_every_row_has_source_and_date(table: str) -> None:
    column = "priced_on" if table == "offers" else "date"
    for row in rows(table):
        assert row["source"].strip(), row
        assert None not in row.values() and None not in row, row  # a comma too many or too few
        assert re.fullmatch(r"20\d\d(-\d\d(-\d\d)?)?", row[column]), row
        first_day = date(*(*map(int, row[column].split("-")), 1, 1)[:3])
        assert date(2018, 1, 1) <= first_day <= LAST_DAY, row


def test_the_tables_are_whole() -> None:
    assert len(rows("devices")) >= 80
    assert len(rows("offers")) >= 860
    assert len(rows("billing")) == 16
    assert len(rows("carbon")) >= 200


# Two sides of a ratio: dense peaks halve or double with the width of the type. A peak quoted with 2:4 sparsity, or
# with fp16 accumulation, doubles and breaks one of these.
RATIOS = (("fp8", "bf16"), ("fp8", "fp16"), ("bf16", "tf32"), ("fp16", "tf32"), ("bf16", "fp16"))
RATIO_EXCEPTIONS = {
    "Gaudi3": ("fp16", "tf32")
}  # its matrix engine runs these two at a quarter of bf16 (Intel datasheet)


@pytest.mark.parametrize(("wide", "narrow"), RATIOS)
def test_a_peak_is_dense(wide: str, narrow: str) -> None:
    for device in devices().values():
        peaks = device.peak_flop_per_s
        if wide in peaks and narrow in peaks and narrow not in RATIO_EXCEPTIONS.get(device.name, ()):
            assert peaks[wide] <= 2.05 * peaks[narrow], device.name


def test_int8_is_at_most_four_times_bf16() -> None:
    """GeForce runs int8 at full rate and bf16 with fp32 accumulation at half: 4 x; all others 2 x."""
    for device in devices().values():
        peaks = device.peak_flop_per_s
        if "int8" in peaks and "bf16" in peaks:
            geforce = device.name.startswith(("RTX 3", "RTX 4", "RTX 5"))
            assert peaks["int8"] <= (4.05 if geforce else 2.05) * peaks["bf16"], device.name


# Peaks are at the datasheet's boost clock; cards whose cooling lets them clock higher beat them in a matmul.
ABOVE_PEAK = {
    ("RTX 4090", "fp16"): 1.05,
    ("RTX 4090", "bf16"): 1.02,
    ("RTX 4090", "tf32"): 1.05,
    ("RTX 3090 Ti", "fp16"): 1.02,
    ("RTX 3090 Ti", "tf32"): 1.06,
    ("RTX 3060 12GB", "fp16"): 1.03,
    ("RTX 3060 12GB", "bf16"): 1.03,
    ("RTX 4060 Ti 16GB", "bf16"): 1.05,
    ("RTX 4070 Ti SUPER", "fp16"): 1.04,
    ("RTX 4070 Ti SUPER", "bf16"): 1.02,
    ("RTX 5070 Ti", "fp16"): 1.12,
    ("RTX 5070 Ti", "bf16"): 1.12,
}


def test_a_measured_rate_is_below_the_peak() -> None:
    for device in devices().values():
        for dtype, rate in device.achievable_flop_per_s.items():
            limit = ABOVE_PEAK.get((device.name, dtype), 1.001) * device.peak_flop_per_s[dtype]
            assert 0.2 * device.peak_flop_per_s[dtype] < rate <= limit, (device.name, dtype, rate)
        if device.achievable_bandwidth_bytes_per_s is not None:
            share = device.achievable_bandwidth_bytes_per_s / device.bandwidth_bytes_per_s
            assert 0.7 < share <= 1.0, device.name


def test_memory_and_bandwidth_are_of_a_gpu() -> None:
    for device in devices().values():
        if device.is_assumed:
            continue
        assert 8e9 <= device.memory_bytes <= 512e9, device.name
        assert 60e9 <= device.bandwidth_bytes_per_s <= 8e12, device.name
        assert 0.01 < device.memory_bytes / device.bandwidth_bytes_per_s < 0.7, device.name  # seconds to read it all
        assert device.board_limit_w is None or 50 <= device.board_limit_w <= 1400, device.name
        assert device.peak_flop_per_s, device.name
        for dtype, peak in device.peak_flop_per_s.items():
            assert 1e12 <= peak <= 6e15, (device.name, dtype)


def test_device_names_collide_with_nothing() -> None:
    meant: dict[object, str] = {}
    for row in rows("devices"):
        for name in (row["name"], *words(row["aliases"])):
            assert meant.setdefault(normalise(name), row["name"]) == row["name"], name


def test_achievable_rows_name_a_device_and_a_supported_dtype() -> None:
    for row in rows("achievable"):
        assert row["dtype"] in devices()[row["device"]].peak_flop_per_s, row


def test_offers_are_priced_sanely() -> None:
    for offer in offers():
        prices = [price for price in (offer.usd_per_hour, offer.spot_usd_per_hour) if price is not None]
        assert prices, offer  # an offer without a price is no offer
        for price in prices:
            assert 0.03 < price / offer.gpus < 40, offer  # 0.00 and 99999999 are placeholders
        if len(prices) == 2:
            assert prices[1] < prices[0], offer  # a spot price equal to on-demand is a placeholder
        assert 1 <= offer.gpus <= 16, offer
        assert offer.memory_bytes is None or 8e9 <= offer.memory_bytes <= 300e9, offer
        assert not re.search(r"[()]", offer.provider), offer


def test_most_offers_name_a_device_of_the_catalog() -> None:
    known = Counter(offer.device in devices() for offer in offers())
    assert known[True] > 0.85 * len(offers())


def test_an_offer_agrees_with_the_memory_of_its_device() -> None:
    for offer in offers():
        if offer.device in devices() and offer.memory_bytes is not None:
            assert offer.memory_bytes == pytest.approx(devices()[offer.device].memory_bytes, rel=0.1), offer


def test_residential_electricity_prices_are_not_shipped() -> None:
    assert not [column for column in rows("carbon")[0] if "usd" in column or "price" in column]
