"""Offers and billing rules: figures of the dated price lists, spellings, refusals."""

from __future__ import annotations

from datetime import date

import pytest

from headway.catalog.devices import find_device
from headway.catalog.energy import energy_constants, grid_intensity
from headway.catalog.offers import age_days, billing_rule, find_instance, find_offers, offers, provider_name
from headway.domain.errors import UserError


def test_instances_of_the_price_lists() -> None:
    """AWS Price List 2026-07-20, us-east-1; p5.48xlarge is not the $32.77 that p4d.24xlarge cost."""
    (p5,) = find_instance("p5.48xlarge")
    assert (p5.usd_per_hour, p5.gpus, p5.device, p5.priced_on) == (55.04, 8, "H100 SXM 80GB", "2026-07-20")
    p3 = find_instance("p3.2xlarge", "AWS")[0]
    assert (p3.usd_per_hour, p3.spot_usd_per_hour, p3.device) == (3.06, 0.612, "V100 SXM2 16GB")
    p4d = find_instance("p4d.24xlarge")
    assert [offer.usd_per_hour for offer in p4d if offer.priced_on.startswith("2025")] == [32.77]
    assert p4d[0].usd_per_hour == pytest.approx(21.96, abs=0.01)
    assert {offer.device for offer in p4d} == {"A100 SXM 40GB"}


def test_the_price_of_an_instance_is_that_of_the_whole_machine() -> None:
    """n1-highmem-8 with a V100 is $2.95, not the $2.48 of the V100 alone."""
    (v100,) = find_offers(instance="n1-highmem-8", provider="GCP", device="V100")
    assert v100.usd_per_hour == 2.95


@pytest.mark.parametrize("text", ["NC6s v3", "Standard_NC6s_v3", "nc6s_v3"])
def test_azure_names_come_in_two_spellings(text: str) -> None:
    found = find_instance(text, "Azure")
    assert {offer.instance for offer in found} == {"NC6s v3", "Standard_NC6s_v3"}
    assert {offer.device for offer in found} == {"V100 PCIe 16GB"}


def test_offers_are_cheapest_per_gpu_first() -> None:
    found = find_offers(device="H100 SXM")
    prices = [offer.usd_per_hour / offer.gpus for offer in found if offer.usd_per_hour]
    assert prices == sorted(prices)
    assert len(prices) == len(found) > 50
    found = find_offers(device="L4", spot=True)
    spot = [offer.spot_usd_per_hour / offer.gpus for offer in found if offer.spot_usd_per_hour]
    assert spot == sorted(spot)
    assert spot


def test_conditions_are_joined() -> None:
    found = find_offers(device=find_device("L4"), provider="Google Cloud", region="us-central1", gpus=4)
    assert found
    assert {(o.device, o.provider, o.region, o.gpus) for o in found} == {("L4", "gcp", "us-central1", 4)}
    assert set(found) <= set(find_offers(device="L4"))


def test_an_offer_that_does_not_say_its_form_is_found_under_its_own_word() -> None:
    assert "A100" in {offer.device for offer in find_offers(device="A100 SXM 80GB")}
    assert "A100" not in {o.device for o in find_offers(device="A100 SXM 80GB") if o.memory_bytes == 40e9}


def test_lambda_has_no_rtx_4090() -> None:
    """Stated price lists say otherwise; the provider's own (2026-09-05) does not list it."""
    assert find_offers(device="RTX 4090", provider="Lambda Labs") == ()
    assert find_offers(device="RTX 4090")[0].usd_per_hour == 0.34


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("AWS", "aws"), ("Amazon", "aws"), ("GCP", "gcp"), ("Google Cloud", "gcp"), ("Azure", "azure"),
        ("Lambda Labs", "lambda"), ("Lambda", "lambda"), ("RunPod", "runpod"), ("vast.ai", "vast.ai"),
        ("Vast", "vast.ai"), ("DataCrunch", "verda"), ("Oracle Cloud", "oci"), ("Hyperstack", "hyperstack"),
    ],
)  # fmt: skip
def test_providers_go_by_several_names(text: str, name: str) -> None:
    assert provider_name(text) == name


def test_billing_rules() -> None:
    aws, lambda_ = billing_rule("AWS"), billing_rule("Lambda Labs")
    assert aws is not None and lambda_ is not None
    assert (aws.granularity_s, aws.minimum_s, aws.whole_node, aws.spot_notice_s) == (1, 60, True, 120)
    assert (lambda_.granularity_s, lambda_.spot_notice_s) == (60, None)
    together = billing_rule("together.ai")
    assert together is not None and together.granularity_s == 3600
    assert billing_rule("Hyperstack") is None  # prices known, rules not
    assert billing_rule("My own rack") is None


def test_refusals() -> None:
    with pytest.raises(UserError) as caught:
        find_instance("p5.xlarge", "AWS")
    assert str(caught.value) == (
        "an instance must be in the catalog of aws, got 'p5.xlarge'. Nearest: p5.4xlarge, p5.48xlarge, p2.xlarge. "
        "`headway catalog offers` lists all; or state a `price:` with the GPU"
    )
    with pytest.raises(UserError) as caught:
        find_offers(provider="lamda")
    assert caught.value.candidates[0] == "lambda"
    with pytest.raises(UserError, match="a GPU must be in the catalog"):
        find_offers(device="RTX 9090")


def test_age_of_a_price() -> None:
    today = date(2026, 11, 21)
    (p5,) = find_instance("p5.48xlarge")
    assert age_days(p5, today) == 124  # 11 days of July, 31 + 30 + 31, 21 of November
    by_year = next(offer for offer in offers() if offer.priced_on == "2026")
    assert age_days(by_year, today) == 324  # counted from 1 January: as old as it can be


def test_junk_of_the_sources_is_left_out() -> None:
    assert not [o for o in offers() if o.provider == "vast.ai" and o.usd_per_hour == 0.85 and o.gpus == 8]


def test_energy_constants_and_grids() -> None:
    constants = energy_constants()
    assert constants["node_per_gpu_limit"].value == pytest.approx(10.2 / (8 * 0.7), rel=2e-3)
    assert constants["draw_share_of_node_limit"].high == pytest.approx(8.4 / 10.2, abs=5e-3)
    assert constants["pue.unknown"].value == 1.58
    usa = grid_intensity("USA")
    assert usa.kg_co2_per_joule * 3.6e6 == pytest.approx(0.3695, rel=1e-3)
    assert grid_intensity("de") == grid_intensity("Germany")
    with pytest.raises(UserError, match="a country must be known"):
        grid_intensity("Atlantis")
