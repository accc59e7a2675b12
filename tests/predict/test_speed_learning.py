"""Learning: what made the data is found again, own rows help, the record loses nothing, the shipped fit is current."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from machines import MIDDLE, batches, decoder

from headway.catalog.devices import find_device
from headway.catalog.speed import shipped_speed
from headway.domain.experiment import Recipe
from headway.domain.machine import Node
from headway.domain.spread import Draws
from headway.predict.learning.calibrate import calibrate, fit
from headway.predict.learning.fit import CENTRE
from headway.predict.learning.holdout import scores
from headway.predict.learning.record import from_record, to_record
from headway.predict.learning.sample import Sample
from headway.predict.speed.basis import basis
from headway.predict.speed.model import BETWEEN, NAMES, log_seconds
from headway.predict.speed.predict import log_quantiles, predict_step
from headway.predict.speed.situation import Situation, features
from headway.predict.speed.state import Speed, log_middle_and_difficulty

DATA = Path(__file__).parents[2] / "benchmarks" / "data" / "throughput.csv"
DEVICES = ("A100 SXM 80GB", "H100 SXM 80GB", "RTX 4090", "T4")


def made(stack: str, rng: np.random.Generator, count: int) -> list[Situation]:
    """Training steps of random sizes on a few cards."""
    found = []
    for _ in range(count):
        hidden, rows = int(rng.choice([512, 1024, 2048])), int(rng.choice([1, 2, 4, 8, 16]))
        arch = decoder(layers=int(rng.integers(4, 33)), hidden=hidden, ffn=4 * hidden, heads=hidden // 64)
        tokens = float(rng.choice([128, 512, 2048]))
        recipe = Recipe(precision="fp16", micro_batch=rows, attention="flash")
        node = Node(device=find_device(str(rng.choice(DEVICES))))
        one = batches(rows, tokens)
        found.append(Situation(architecture=arch, recipe=recipe, batches=one, node=node, stack=stack))
    return found


def measured(situations: list[Situation], coefficients: Draws, rng: np.random.Generator, noise: float = 0.01) -> Sample:
    rows = np.array([basis(one, MIDDLE) for one in situations])
    return Sample(
        basis=rows,
        features=np.array([features(one) for one in situations]),
        log_seconds=log_seconds(rows, coefficients) + rng.normal(0, noise, len(rows)),
        weight=np.ones(len(rows)),
        stack=[one.stack for one in situations],
        family=[one.family for one in situations],
        device=[one.device for one in situations],
        generation=[one.generation for one in situations],
        configuration=[f"{one.stack} {index}" for index, one in enumerate(situations)],
    )


def joined(parts: list[Sample]) -> Sample:
    arrays = {
        n: np.concatenate([getattr(one, n) for one in parts]) for n in ("basis", "features", "log_seconds", "weight")
    }
    lists = ("stack", "family", "device", "generation", "configuration")
    return Sample(**arrays, **{n: [value for one in parts for value in getattr(one, n)] for n in lists})


def errors(speed: Speed, stack: str, held: Sample) -> Draws:
    known = speed.stacks.get(stack)
    middle = log_quantiles(speed, known, "huggingface", held.basis, held.features, list(held.device), "same device")[1]
    return np.asarray(np.abs(held.log_seconds - middle))


@pytest.fixture(scope="module")
def world() -> tuple[Speed, Draws, Sample]:
    """A fit on eight made stacks, what truly holds for all stacks, and the rows."""
    rng = np.random.default_rng(5)
    truth = CENTRE + 0.15 * rng.normal(size=len(NAMES)) * (np.array(NAMES) != "all")
    parts = [
        measured(made(f"stack {i}", rng, 40), truth + 0.5 * BETWEEN * rng.normal(size=len(NAMES)), rng)
        for i in range(8)
    ]
    sample = joined(parts)
    return fit(sample), truth, sample


def test_a_fit_finds_again_what_made_the_data(world: tuple[Speed, Draws, Sample]) -> None:
    speed, truth, _ = world
    rng = np.random.default_rng(6)
    held = measured(made("stranger", rng, 60), truth, rng, noise=0.0)
    assert np.median(errors(speed, "stranger", held)) < 0.08
    assert speed.coefficients[NAMES.index("linear")] == pytest.approx(truth[NAMES.index("linear")], abs=0.12)


def test_rows_of_a_known_stack_are_predicted_within_its_noise(world: tuple[Speed, Draws, Sample]) -> None:
    speed, _, sample = world
    assert np.median(errors(speed, "stack 3", sample.of_stack("stack 3"))) < 0.015


def test_own_rows_narrow_error_and_interval(world: tuple[Speed, Draws, Sample]) -> None:
    speed, truth, _ = world
    rng = np.random.default_rng(7)
    strange = truth + 1.2 * BETWEEN * rng.normal(size=len(NAMES))
    own, held = measured(made("mine", rng, 5), strange, rng), measured(made("mine", rng, 60), strange, rng)
    after = calibrate(speed, own)
    assert np.median(errors(after, "mine", held)) < 0.7 * np.median(errors(speed, "mine", held))
    one = made("mine", rng, 1)[0]
    before_it, after_it = predict_step(one, speed, MIDDLE), predict_step(one, after, MIDDLE)
    assert after_it.p90_s / after_it.p10_s < before_it.p90_s / before_it.p10_s
    assert set(after.stacks) == {*speed.stacks, "mine"}


def test_one_outlier_does_not_carry_a_stack_away(world: tuple[Speed, Draws, Sample]) -> None:
    speed, truth, _ = world
    rng = np.random.default_rng(8)
    own = measured(made("mine", rng, 12), truth, rng)
    own.log_seconds[3] += 2.0
    held = measured(made("mine", rng, 40), truth, rng)
    assert np.median(errors(calibrate(speed, own), "mine", held)) < 0.10


def test_errors_are_scored_against_what_is_predicted(world: tuple[Speed, Draws, Sample]) -> None:
    """Also where the neighbours' residual is larger than they may move the physics."""
    speed, truth, _ = world
    rng = np.random.default_rng(10)
    own = measured(made("mine", rng, 6), truth, rng)
    own.log_seconds[:] += 4.0
    after = calibrate(speed, own)
    found, stack = scores(after, after.stacks["mine"], own), after.stacks["mine"]
    arrays = (own.basis, own.features, list(own.device))
    middle = log_quantiles(after, stack, "huggingface", *arrays, "measured")[1]
    difficulty = log_middle_and_difficulty(after, stack, "huggingface", *arrays)[1]
    assert found == pytest.approx((own.log_seconds - middle) / difficulty)
    physics = log_seconds(own.basis, after.coefficients + stack.effect)
    assert np.max(middle - physics) == pytest.approx(0.7)


def test_a_calibration_without_rows_is_refused(world: tuple[Speed, Draws, Sample]) -> None:
    speed, _, sample = world
    with pytest.raises(ValueError, match="at least one measured step"):
        calibrate(speed, sample.take([]))


def test_the_same_rows_give_the_same_bits_and_a_record_keeps_the_predictions(
    world: tuple[Speed, Draws, Sample],
) -> None:
    speed, _, sample = world
    record = to_record(speed)
    assert json.dumps(to_record(fit(sample))) == json.dumps(record)
    back = from_record(json.loads(json.dumps(record)))
    for one in made("stack 1", np.random.default_rng(9), 10):
        assert predict_step(one, back, MIDDLE).p50_s == pytest.approx(predict_step(one, speed, MIDDLE).p50_s, rel=5e-3)
    with pytest.raises(ValueError, match="this version's"):
        from_record(record | {"coordinates": []})


def test_what_is_shipped_was_fitted_on_the_data_that_is_here() -> None:
    provenance = shipped_speed()["provenance"]
    assert provenance["sha256"] == hashlib.sha256(DATA.read_bytes()).hexdigest(), "run ./scripts/fit"
    assert provenance["rows"] == sum(provenance["sources"].values())
