"""Names of a plan against the catalog: devices, instances, prices, links, lengths, models beside the plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headway.app.resolve import resolve
from headway.catalog.calibration import shipped_calibration
from headway.domain.errors import UserError
from headway.domain.lookup import Lookup, Machine
from headway.plan import plan_from_mapping, read_plan

CALIBRATION = shipped_calibration()
RUN: dict[str, Any] = {
    "headway": 1,
    "model": "Qwen/Qwen2-0.5B",
    "data": {"rows": 1000, "length": 100},
    "run": {"machine": "RTX 4090"},
}


def looked_up(**changes: Any) -> Lookup:
    return resolve(plan_from_mapping({**RUN, **changes}).plan, CALIBRATION)


def machine(**keys: Any) -> Machine:
    (found,) = looked_up(run={"machine": keys}).machines.values()
    return found


def test_instance_brings_device_count_price_and_billing() -> None:
    found = machine(provider="AWS", instance="p5.48xlarge")
    assert found.node.device.name == "H100 SXM 80GB"
    assert found.node.gpus == 8
    assert found.price is not None
    assert found.price.usd_per_hour.mid == 55.04
    assert found.price.priced_on == "2026-07-20"
    assert found.billing is not None
    assert (found.billing.granularity_s, found.billing.minimum_s) == (1, 60)


def test_stated_price_goes_before_the_catalog() -> None:
    found = machine(provider="AWS", instance="p5.48xlarge", price="$32.77/h")
    assert found.price is not None
    assert found.price.usd_per_hour.mid == 32.77
    assert found.price.kind == "stated"


def test_instance_settles_which_device_an_ambiguous_name_means() -> None:
    assert machine(provider="AWS", instance="p3.2xlarge", gpu="V100").node.device.name == "V100 SXM2 16GB"
    assert machine(provider="Azure", instance="NC6s v3", gpu="V100").node.device.name == "V100 PCIe 16GB"
    with pytest.raises(UserError, match="must mean one device") as caught:
        machine(gpu="V100")
    assert "V100 SXM2 32GB" in caught.value.candidates


def test_instance_that_comes_with_several_gpus_is_read_by_the_one_named() -> None:
    """GCP sells n1-highmem-8 with T4, P4, K80, P100 and V100 at different prices."""
    t4, k80 = (machine(provider="GCP", instance="n1-highmem-8", gpu=gpu) for gpu in ("T4", "K80"))
    assert t4.node.device.name == "T4"
    assert t4.price != k80.price


def test_unknown_instance_is_fine_where_the_plan_says_what_it_is() -> None:
    assert machine(provider="AWS", instance="p9.huge", gpu="T4", price="$1/h").instance == "p9.huge"
    with pytest.raises(UserError, match="instance must be in the catalog"):
        machine(provider="AWS", instance="p9.huge")


def test_an_owned_machine_has_no_price() -> None:
    found = machine(gpu="RTX 4090", power="450 W")
    assert found.price is None
    assert found.spot_price is None


def test_spot_price_from_a_discount() -> None:
    found = machine(gpu="T4", price="$10/h", spot={"discount": "60-70%"})
    assert found.spot_price is not None
    assert found.spot_price.usd_per_hour.low == pytest.approx(3.0)
    assert found.spot_price.usd_per_hour.high == pytest.approx(4.0)


def test_hazard_is_per_hour_whatever_it_was_stated_per() -> None:
    hourly = machine(gpu="T4", price="$1/h", spot={"hazard": "5%/h"}).hazard_per_hour
    monthly = machine(gpu="T4", price="$1/h", spot={"hazard": "5%/month"}).hazard_per_hour
    assert hourly is not None
    assert monthly is not None
    assert hourly.mid == pytest.approx(0.05)
    assert monthly.mid == pytest.approx(1 - 0.95 ** (1 / 730))


def test_link_words_must_agree_with_the_device_or_be_a_bandwidth() -> None:
    assert machine(gpu="H100 SXM 80GB", gpus=8, link="NVLink/NVSwitch").node.link is not None
    slow = machine(gpu="H100 SXM 80GB", gpus=8, link="25 GB/s").node.link
    assert slow is not None
    assert slow.bytes_per_s == 25e9
    with pytest.raises(UserError, match="is wired with"):
        machine(gpu="RTX 4090", gpus=2, link="NVLink")


def test_machine_without_a_count_has_the_gpus_that_are_asked_for() -> None:
    (found,) = looked_up(gpus=4).machines.values()
    assert found.node.gpus == 4


def test_unknown_length_is_a_wide_prior_and_grows_with_the_cap() -> None:
    short = looked_up(data={"rows": 10}, max_length=128).lengths["data"]
    long = looked_up(data={"rows": 10}, max_length=8192).lengths["data"]
    assert short.kind == long.kind == "assumed"
    assert short.mean_high / short.mean_low > 5
    assert long.mean > short.mean


def test_stated_range_of_lengths_is_of_the_rows_and_of_their_mean() -> None:
    found = looked_up(data={"rows": 10, "length": "200-300"}).lengths["data"]
    assert (found.mean_low, found.mean, found.mean_high) == (200, 250, 300)
    assert found.quantiles == ((0.1, 200), (0.5, 250), (0.9, 300))


def test_mixture_has_the_weighted_mean_length() -> None:
    data = {"a": {"rows": 10, "length": 100}, "b": {"rows": 10, "length": 200}, "m": {"mix": {"a": "25%", "b": "75%"}}}
    assert looked_up(datasets=data, data="m").lengths["m"].mean == pytest.approx(175)


def test_model_folder_beside_the_plan(tmp_path: Path) -> None:
    config = {"model_type": "llama", "hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4,
              "intermediate_size": 352, "vocab_size": 1024}  # fmt: skip
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    file = tmp_path / "plan.yaml"
    file.write_text("headway: 1\nmodel: tiny\ndata: {rows: 10, length: 5}\nrun: {machine: T4}\n", encoding="utf-8")
    found = resolve(read_plan(file).plan, CALIBRATION).architectures["tiny"]
    assert (found.layers, found.hidden) == (4, 128)


def test_unknown_model_names_its_line() -> None:
    with pytest.raises(UserError) as caught:
        resolve(read_plan("p.yaml", text="headway: 1\nmodel: Qwen/Qwen3-7B\ndata: {rows: 5}\n").plan, CALIBRATION)
    assert (caught.value.where.line, caught.value.where.column) == (2, 8)
