"""The fit of memory peaks: what it recovers, what it ships, and what an observer sees."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machines import DRAWS, MIDDLE, batches, decoder

from headway.catalog.peaks import shipped_peaks
from headway.domain.experiment import Adapter, Recipe
from headway.domain.software import ORDINARY
from headway.predict.learning.peak_fit import PeakSample, fit_peaks, learn_stack, shared_logs
from headway.predict.learning.peak_record import from_record, to_record
from headway.predict.memory import LEAST_DIFFICULTY, difficulty, factor_name, memory
from headway.predict.peak.basis import ALL_MOMENTS, FEATURES, GROUPS, basis, features
from headway.predict.peak.model import NAMES, log_peak_and_slopes
from headway.predict.peak.software import software_of
from headway.predict.peak.state import middle_and_difficulty

GIB = 2.0**30
BIG = decoder(layers=32, hidden=4096, heads=32, kv_heads=32, ffn=11008, vocab=32000, tied=False, head_dim=128)
LORA = Recipe(adapter=Adapter(), gradient_checkpointing="full")


def made(stack: str, rng: np.random.Generator, rows: int, factors: np.ndarray, noise: float = 0.01) -> PeakSample:
    """Peaks of a stack with these factors, over sizes at which each group matters in some row."""
    bases = np.exp(rng.uniform(-1.0, 2.5, (rows, len(ALL_MOMENTS), len(GROUPS)))) * GIB
    logs, _ = log_peak_and_slopes(bases, np.log(factors))
    return PeakSample(
        bases=bases,
        features=rng.normal(0, 3, (rows, len(FEATURES))),
        log_bytes=logs + rng.normal(0, noise, rows),
        weight=np.ones(rows),
        stack=[stack] * rows,
        configuration=[f"{stack} {row // 2}" for row in range(rows)],
    )


def joined(parts: list[PeakSample]) -> PeakSample:
    return PeakSample(
        bases=np.concatenate([one.bases for one in parts]),
        features=np.concatenate([one.features for one in parts]),
        log_bytes=np.concatenate([one.log_bytes for one in parts]),
        weight=np.concatenate([one.weight for one in parts]),
        stack=[name for one in parts for name in one.stack],
        configuration=[name for one in parts for name in one.configuration],
    )


def world(noise: float = 0.01) -> PeakSample:
    rng = np.random.default_rng(1)
    own = {"a": [1.1, 0.9, 0.8, 1.4], "b": [0.95, 1.2, 1.1, 0.7], "c": [1.0, 1.0, 1.0, 1.0]}
    return joined([made(name, rng, 60, np.array(factors), noise) for name, factors in own.items()])


def test_a_stack_is_recovered_from_its_rows() -> None:
    sample = world()
    fit = fit_peaks(sample)
    for name, factors in {"a": [1.1, 0.9, 0.8, 1.4], "b": [0.95, 1.2, 1.1, 0.7]}.items():
        assert np.exp(fit.logs + fit.stacks[name].effect) == pytest.approx(factors, rel=0.08)  # shrunk a little


def test_what_stacks_share_stays_near_the_count() -> None:
    """Three stacks of which two err both ways: the typical one is within a few percent of the count."""
    assert np.abs(shared_logs(world())).max() < 0.1


def test_a_stack_without_a_measured_neighbour_keeps_its_factors_only() -> None:
    sample = world(noise=0.05)
    fit = fit_peaks(sample)
    rows = sample.by_stack()["a"]
    far = rows.features + 1e3
    logs, _ = middle_and_difficulty(fit, fit.stacks["a"], rows.bases, far)
    assert logs == pytest.approx(log_peak_and_slopes(rows.bases, fit.logs + fit.stacks["a"].effect)[0])
    near, _ = middle_and_difficulty(fit, fit.stacks["a"], rows.bases, rows.features)
    assert np.abs(near - rows.log_bytes).mean() < np.abs(logs - rows.log_bytes).mean()


def test_intervals_of_held_out_rows_cover_what_they_claim() -> None:
    """Known stacks: 80 % of rows that were not learnt from, of the same stacks."""
    fit, rng = fit_peaks(world(noise=0.05)), np.random.default_rng(11)
    held = made("a", rng, 400, np.array([1.1, 0.9, 0.8, 1.4]), noise=0.05)
    quantiles, tier = fit.interval("a")
    logs, hard = middle_and_difficulty(fit, fit.stacks["a"], held.bases, held.features)
    scores = (held.log_bytes - logs) / hard
    assert tier == "known"
    assert 0.7 < np.mean((quantiles.low <= scores) & (scores <= quantiles.high)) < 0.9
    wider, tier = fit.interval("nobody")
    assert tier == "unseen"
    assert wider.high - wider.low > quantiles.high - quantiles.low


def test_one_stack_is_not_enough() -> None:
    with pytest.raises(ValueError, match="two stacks"):
        fit_peaks(world().by_stack()["a"])


def test_outliers_do_not_carry_a_stack_away() -> None:
    rows = world().by_stack()["c"]
    wrong = rows.log_bytes.copy()
    wrong[::10] += 1.0
    logs = np.zeros(len(NAMES))
    assert np.abs(learn_stack(replace(rows, log_bytes=wrong), logs).effect).max() < 0.1


def test_a_record_is_read_back_or_refused() -> None:
    record = shipped_peaks()
    fit = from_record(record)
    assert json.loads(json.dumps(to_record(fit, "2026-11-21")["stacks"])) == record["stacks"]
    with pytest.raises(ValueError, match="this version's"):
        from_record({**record, "features": []})


def test_estimates_use_the_shared_factors_and_the_interval_of_unseen_stacks() -> None:
    fit = from_record(shipped_peaks())
    for name, log in zip(NAMES, fit.logs, strict=True):
        assert MIDDLE[factor_name(name)] == pytest.approx(np.exp(log), abs=1e-4)
    need = memory(BIG, LORA, batches(4, 1024), DRAWS)
    point = memory(BIG, LORA, batches(4, 1024), MIDDLE)
    unfitted = MIDDLE | dict.fromkeys(("memory_doubt", *map(factor_name, NAMES)), 1.0)
    bases = basis(memory(BIG, LORA, batches(4, 1024), unfitted), "device")[None]
    run = features(BIG, LORA, batches(4, 1024), ORDINARY, 6.7e9)[None]
    logs, hard = middle_and_difficulty(fit, None, bases, run)
    assert float(point.peak_bytes) == pytest.approx(np.exp(logs[0]), rel=1e-3)
    quantiles, _ = fit.interval("nobody")
    drawn = np.quantile(np.asarray(need.peak_bytes), (0.1, 0.5, 0.9))
    expected = np.exp(logs[0] + hard[0] * np.array([quantiles.low, 0.0, quantiles.high]))
    assert drawn == pytest.approx(expected, rel=0.01)


@settings(max_examples=30)
@given(st.integers(1, 16), st.integers(32, 4096), st.booleans())
def test_weights_are_never_in_doubt_and_nothing_is_negative(rows: int, tokens: int, adapter: bool) -> None:
    recipe = LORA if adapter else Recipe()
    need = memory(BIG, recipe, batches(rows, tokens), DRAWS)
    assert np.ptp(np.asarray(need.terms["weights"])) == 0
    assert all(np.min(np.asarray(size)) >= 0 for size in need.terms.values())
    np.testing.assert_allclose(np.asarray(need.peak_bytes), sum(np.asarray(size) for size in need.terms.values()))


def test_difficulty_grows_with_what_is_not_weights() -> None:
    assert difficulty(1.0) == LEAST_DIFFICULTY
    assert difficulty(0.0) == 1.0
    assert difficulty(0.5) == pytest.approx(0.65)


def test_an_observer_sees_what_it_counts() -> None:
    need = memory(BIG, LORA, batches(4, 1024), MIDDLE)
    device, reserved, allocated = (basis(need, kind).sum(axis=1).max() for kind in ("device", "reserved", "allocated"))
    assert device == pytest.approx(float(need.peak_bytes))
    assert device - reserved == pytest.approx(float(need.terms["context"]))
    beside = sum(float(need.terms[name]) for name in ("context", "allocator", "workspace"))
    assert device - allocated == pytest.approx(beside)
    with pytest.raises(KeyError):
        basis(need, "nobody")


def test_words_of_software() -> None:
    assert software_of("") == software_of("HF Trainer, TRL and PEFT") == ORDINARY
    assert software_of("TRL + Liger").logit_bytes == 0
    assert software_of("HF/TRL SFT (fms-hf-tuning) + foak-fast-kernels").logit_bytes == 8
    assert software_of("Unsloth + TRL SFTTrainer").logit_bytes == 0
    assert software_of("Unsloth + TRL SFTTrainer gemma-2").logit_bytes == 12
    titan = software_of("torchtitan", "fsdp8 tp8 pp8")
    assert (titan.sequence_parallel, titan.keeps_matmuls, titan.gathers_gradients) == (True, True, True)
    assert not software_of("swift sft DeepSpeed", "zero3").gathers_gradients
    gptq = software_of("HF Trainer int4-gptq+fp16")
    assert not gptq.widens_quantised
    assert gptq.packed_bytes == pytest.approx(0.51953, abs=1e-5)
    assert software_of("LitGPT (Fabric) nf4+bf16").packed_bytes == 4.5 / 8
    assert software_of("LitGPT (Fabric) nf4-dq+bf16").packed_bytes is None
    assert software_of("Megatron-SWIFT", "tp4 sp").sequence_parallel


def test_a_bare_loop_prepares_nothing() -> None:
    plain, library = software_of("plain PyTorch loop, AdamW"), software_of("transformers loop, AdamW nf4-dq+bf16")
    assert (plain.fused_norms, plain.repeats_keys, plain.fused_optimizer) == (True, True, True)
    assert (library.fused_norms, library.autocasts, library.widens_quantised) == (False, True, False)
    assert software_of("plain PyTorch loop + PEFT (LORA)") == ORDINARY
