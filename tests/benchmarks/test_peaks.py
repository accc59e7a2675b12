"""Published peaks: what of a row a memory prediction is made from."""

from __future__ import annotations

import hashlib
import json
from collections import Counter

import pytest

from headway.catalog.peaks import shipped_peaks
from headway.predict.learning.peak_fit import fit_peaks
from headway.predict.learning.peak_record import to_record
from judging.peak_sample import peak_sample
from peaks import Peak, peaks, read_peak
from rows import DATA, Unusable, load

ROWS = {row["id"]: row for row in load()}
USABLE, REFUSED = peaks(load())


def peak(id: str, **changes: str) -> Peak:
    found = read_peak(ROWS[id] | changes)
    assert isinstance(found, Peak), found
    return found


def test_no_row_vanishes() -> None:
    wanted = [row for row in ROWS.values() if row["peak_mem_gb"] and row["trust"] in ("A", "B")]
    assert len(USABLE) + len(REFUSED) == len(wanted)
    assert len(USABLE) == 388
    assert Counter(one.source for one in USABLE)["Lightning-AI/litgpt"] == 53


@pytest.mark.parametrize(
    ("id", "tokens"),
    [
        ("fms-0010", 4096),  # packed
        ("qwen-0001", 256),  # exact
        ("litgpt-0057", 1304),  # "longest 1304 tokens"
        ("litgpt-0012", 512),  # a cap, which some row reaches
        ("unsloth-0024", 600),  # sixty steps of Alpaca
        ("unsloth-0026", 2048),  # conversations up to the cap
        ("titan-0010", 262144 / 8),  # eight ranks share a row
        ("peft-0033", 768),  # mean 210, the batch padded to its longest, capped
    ],
)
def test_the_longest_row(id: str, tokens: float) -> None:
    assert peak(id).batches.longest_row_tokens == tokens


def test_rows_without_padding_stand_one_behind_the_other() -> None:
    """Mistral, 283 tokens a row on average: a pass of 4 is the longest row beside three average ones."""
    four, two = (peak(id).batches for id in ("fms-0287", "fms-0288"))
    longest = 4 * four.longest_row_tokens - 3 * 283
    assert 1500 < longest < 3000
    assert two.longest_row_tokens > four.longest_row_tokens
    assert four.padding_share == 0


def test_padded_means_are_taken_back() -> None:
    """445 tokens a row padded to the longest of four, and 283 counted without padding, are the same data."""
    padded, counted = peak("fms-0310"), peak("fms-0287")
    longest = 4 * counted.batches.longest_row_tokens - 3 * 283
    assert padded.batches.longest_row_tokens == pytest.approx(longest, rel=0.2)


def test_settings_that_are_habits_of_a_stack() -> None:
    assert peak("misc4-0021").recipe.gradient_checkpointing == "full"
    assert peak("fms-0154").recipe.master_weights
    assert not peak("fms-0014").recipe.master_weights
    assert peak("litgpt-0045").recipe.adapter is not None
    assert peak("litgpt-0045").recipe.adapter.dropout == 0.05  # type: ignore[union-attr]
    assert peak("litgpt-0045").architecture.fused_qkv


def test_software_is_read_from_names() -> None:
    assert peak("fms-0124").software.logit_bytes == 0
    assert peak("fms-0236").software.logit_bytes == 8  # the fused head is not registered for Mistral
    assert peak("titan-0005").software.logit_bytes == 14
    assert [peak(id).software.compiles_loss for id in ("titan-0005", "titan-0031")] == [False, True]


@pytest.mark.parametrize(
    ("id", "changes", "reason"),
    [
        ("misc4-0006", {}, "a trial run"),
        ("misc3-0080", {}, "neither the longest row nor the mean length"),
        ("fms-0010", {"task": "inference_generate"}, "not training"),
        ("fms-0010", {"peak_mem_gb": ""}, "no peak of memory"),
    ],
)
def test_what_cannot_be_used_says_why(id: str, changes: dict[str, str], reason: str) -> None:
    found = read_peak(ROWS[id] | changes)
    assert isinstance(found, Unusable)
    assert reason in found.reason


def test_the_shipped_fit_is_what_the_rows_give_bit_for_bit() -> None:
    record = json.loads(json.dumps(to_record(fit_peaks(peak_sample(USABLE)), "2026-11-21")))
    shipped = dict(shipped_peaks())
    provenance = shipped.pop("provenance")
    assert record == shipped, "run ./scripts/fit memory"
    assert provenance["sha256"] == hashlib.sha256(DATA.read_bytes()).hexdigest()
    assert (provenance["rows"], provenance["not_usable"]) == (len(USABLE), len(REFUSED))
