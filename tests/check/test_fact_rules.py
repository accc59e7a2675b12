"""Names, sizes, prices, billing and text: what the catalog settles, and what it does not know and leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.app.load import Project, load
from headway.check.rules.prices import age_days
from headway.check.rules.text import repaired
from headway.domain.errors import Finding
from headway.plan import read_plan

BASE = """headway: 1
model: Qwen/Qwen2-0.5B
data: {rows: 10k, length: 128}
"""


def found(keys: str, *codes: str) -> tuple[Finding, ...]:
    return (
        Project(read_plan("plan.yaml", text=BASE + keys)).check(select=codes or ("HW3",), today="2026-11-21").findings
    )


def on(machine: str, *codes: str) -> tuple[Finding, ...]:
    return found(f"run: {{machine: {{{machine}}}}}\n", *codes)


def test_a_machine_of_the_catalog_hears_nothing() -> None:
    assert on("instance: p5.48xlarge") == ()


@pytest.mark.parametrize(
    "machine",
    [
        "provider: MyUniversity, gpu: A100 SXM 40GB, price: {use: $0.10/h, date: 2026-11-01}",
        "provider: MyUniversity, instance: node-7, gpu: A100 SXM 40GB, price: {use: $1/h, date: 2026-11-01}",
        "gpu: RTX 4090, price: {use: $0.05/h, date: 2026-11-01}",
    ],
)
def test_what_the_catalog_cannot_know_is_left_alone(machine: str) -> None:
    assert on(machine) == ()


@pytest.mark.parametrize("price", ["$55/h", "$50-60/h", "$55.04/h", "$30-50/h"])
def test_a_price_near_an_offer_is_left_alone(price: str) -> None:
    assert not on(f"instance: p5.48xlarge, price: {{use: {price}, date: 2026-07-20}}")


def test_a_price_of_several_nodes_is_compared_with_as_many_offers() -> None:
    two = "instance: p5.48xlarge, nodes: 2, price: {use: $110.08/h, date: 2026-07-20}"
    assert not on(two)
    twin = "provider: AWS, instance: p5.48xlarge, gpu: H100 SXM 80GB, gpus: 8, nodes: 2, price: $65.54/h"
    assert "p4d.24xlarge" in on(twin, "HW311")[0].message


def test_a_price_far_from_offers_is_said_once() -> None:
    codes = [finding.code for finding in on("instance: p5.48xlarge, price: $32.77/h")]
    assert codes == ["HW311"], "neither HW312 nor HW314 repeat it"
    assert [finding.code for finding in on("instance: p5.48xlarge, price: $20/h")] == ["HW312"]


def test_the_age_of_a_price_counts_from_its_day() -> None:
    from datetime import date

    assert age_days("2026-11-01", date(2026, 11, 21)) == 20
    assert age_days("last summer", date(2026, 11, 21)) == 0
    assert age_days("", date(2026, 11, 21)) == 0


@pytest.mark.parametrize("block", ["1 s", "60 s"])
def test_the_providers_own_minimum_is_no_block(block: str) -> None:
    assert not on(f"instance: p5.48xlarge, billing: {{unit: node, block: {block}}}", "HW318")


def test_an_hourly_biller_may_have_hourly_blocks() -> None:
    machine = "provider: paperspace, gpu: A100 SXM 80GB, price: $3/h, billing: {block: 1 h}"
    assert not on(machine, "HW318")


@pytest.mark.parametrize("memory", ["80 GB", "76 GB", "80 GiB"])
def test_memory_within_what_drivers_and_boxes_say_is_the_devices(memory: str) -> None:
    assert not on(f"instance: p5.48xlarge, memory: {memory}", "HW306")


def test_words_that_the_author_used_for_memory_count() -> None:
    machine = "gpu: H100 SXM 80GB, memory: {stated_as: 40 GB, use: 80 GB}"
    assert [finding.code for finding in on(machine, "HW306")] == ["HW306"]
    both = "gpu: {stated_as: H100 40GB, use: H100 SXM 80GB}, memory: {stated_as: 40 GB, use: 80 GB}"
    assert [finding.code for finding in on(both, "HW304", "HW306")] == ["HW304"], "one cause"


def test_an_instance_settles_which_gpu_is_meant() -> None:
    assert not on("provider: GCP, instance: n1-highmem-8, gpu: {stated_as: V100, use: V100 SXM2 16GB}, price: "
                  "{use: $2.95/h, date: 2026-11-01}")  # fmt: skip


def test_targets_that_make_the_claim_true_are_named() -> None:
    """Rank 4 on q and v: 24 layers x 4 x ((896 + 896) + (896 + 128)) = 270,336."""
    assert 24 * 4 * ((896 + 896) + (896 + 128)) == 270_336
    keys = "adapter: {method: lora, rank: 4}\nrun: {machine: RTX 4090}\nclaims: {trainable: 270k}\n"
    (finding,) = found(keys, "HW309")
    assert finding.severity == "warning"
    assert "q and v" in finding.hint
    assert finding.fix is None


@pytest.mark.parametrize(
    "claims",
    [
        "trainable: 2.2M",
        "trainable: 2M",
        "trainable: 2-3M",
        "trainable: {use: 2.3M, stated_as: ~2.3M}",
        "trainable_share: 0.4%",
        "parameters: 494M",
        "parameters: 0.5B",
        "trainable_share: 0.4452%",  # of the model
        "trainable_share: 0.4433%",  # of model and adapter, as PEFT prints it
    ],
)
def test_a_claim_that_rounds_to_the_count_is_left_alone(claims: str) -> None:
    assert not found(f"adapter: {{method: lora, rank: 4}}\nrun: {{machine: RTX 4090}}\nclaims: {{{claims}}}\n")


def test_a_model_may_be_called_by_its_name() -> None:
    text = BASE.replace("Qwen2-0.5B", "Qwen2-7B") + "run: {machine: H200}\n"
    for claim, codes in (("7B", []), ("7.6B", []), ("8B", []), ("6B", ["HW310"]), ("7.0B", [])):
        plan = read_plan("plan.yaml", text=f"{text}claims: {{parameters: {claim}}}\n")
        assert [one.code for one in Project(plan).check(select=("HW310",)).findings] == codes, claim


def test_miscounted_parameters_are_fixed_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(
        BASE + "adapter: {method: lora, rank: 4, targets: all-linear}\nrun: {machine: RTX 4090}\n"
        "claims: {trainable: 2.5M, parameters: 620M}\n"
    )
    result = load(path).check(select=("HW309", "HW310"))
    assert "claims: {trainable: 2.2M, parameters: 494M}" in result.fixed
    path.write_text(result.fixed)
    assert load(path).check(select=("HW309", "HW310")).findings == ()


MISREAD = [("mac_roman", text) for text in ("8×2×4 = 64", "run 🚀 now", "naïve – baseline", "costs 5 € more")]
MISREAD += [("cp1252", text) for text in ("8×2×4 = 64", "naïve – baseline", "costs 5 € more")]


@pytest.mark.parametrize(("encoding", "text"), MISREAD)
def test_text_read_in_a_wrong_encoding_is_restored(encoding: str, text: str) -> None:
    damaged = text.encode("utf-8").decode(encoding)
    assert damaged != text
    assert repaired(damaged) == text


@given(st.text(st.characters(codec="latin-1", exclude_categories=("C",)), max_size=8))
def test_a_repair_is_never_repaired_into_something_else_by_latin_letters_alone(text: str) -> None:
    """Letters of Western languages stand alone or before ASCII; only pairs that are UTF-8 change."""
    if repaired(text) != text:
        assert len(repaired(text)) < len(text)


@pytest.mark.parametrize(
    "text", ["Größe ändern", "Füße", "évaluation à Orléans", "評価 データ", "α–β", "Ä Ö Ü", "10 €"]
)
def test_right_text_is_left_alone(text: str) -> None:
    assert repaired(text) == text


def test_damaged_titles_are_fixed_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(f"headway: 1\ntitle: 8√ó2 runs\n{BASE[11:]}run: {{machine: RTX 4090}}\n", encoding="utf-8")
    result = load(path).check(select=("HW319",))
    assert [finding.where.line for finding in result.findings] == [2]
    assert "title: 8×2 runs" in result.fixed
