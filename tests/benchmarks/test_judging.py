"""Who may learn from what, and how predictions are scored: against hand computation."""

from __future__ import annotations

import csv
import itertools
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import accuracy
from judging import folds
from judging.baseline import constant_utilisation
from judging.peers import PEERS, _job
from judging.prediction import Prediction, Predictor, predictor
from judging.remembered import judge_memory, memory_predictor
from judging.scores import Judgement, groups, mean_over_sources, memory_groups, score, small_adapter
from peaks import peaks
from rows import Case, Label, cases, load

PEAKS = peaks(load())[0]
USABLE = [case for case in cases(load())[0] if case.seconds is not None and case.trust in ("A", "B")]
JUDGED = [case for case in USABLE if case.judged]
SAMPLE = JUDGED[::25]


def label(**changes: object) -> Label:
    fields = {"id": "a", "source": "s", "task": "lora", "gpu": "A100", "parameters_b": 1.0, "trust": "A", "split": ""}
    return Label(**fields | {"judged": True} | changes)  # type: ignore[arg-type]


def judged(p50: float | None, measured: float = 1.0, *, wide: float = 0.0, **changes: object) -> Judgement:
    found = None if p50 is None else Prediction(p10=p50 * (1 - wide), p50=p50, p90=p50 * (1 + wide))
    return Judgement(label=label(**changes), split="known_stack", prediction=found, measured=measured)


# ---- folds


def test_no_configuration_is_on_both_sides() -> None:
    for fold in folds.known_stack(USABLE):
        assert fold.training is not None
        assert not {case.configuration for case in fold.held} & {case.configuration for case in fold.training}


def test_every_row_of_a_known_stack_is_held_once_with_its_stack_known() -> None:
    found = list(folds.known_stack(USABLE))
    held = [case.id for fold in found for case in fold.held]
    known = {case.source for fold in found for case in fold.held}
    assert sorted(held) == sorted(case.id for case in USABLE if case.source in known)
    for fold in found:
        assert {case.source for case in fold.held} <= {case.source for case in fold.training or ()}
    single = {case.source for case in USABLE} - {case.source for fold in found for case in fold.held}
    assert all(len({case.configuration for case in USABLE if case.source == one}) == 1 for one in single)


def test_nothing_of_an_unseen_source_is_learnt_from() -> None:
    found = list(folds.unseen_stack(USABLE))
    assert sorted(case.id for fold in found for case in fold.held) == sorted(case.id for case in USABLE)
    for fold in found:
        assert len({case.source for case in fold.held}) == 1
        assert not {case.source for case in fold.held} & {case.source for case in fold.training or ()}


@pytest.mark.parametrize("own_rows", [1, 3])
def test_own_rows_are_of_the_stack_and_of_other_configurations(own_rows: int) -> None:
    found = list(folds.after(USABLE, own_rows))
    assert found
    for fold in found:
        assert len({case.configuration for case in fold.own}) == own_rows
        assert {case.source for case in fold.own} == {case.source for case in fold.held}
        assert not {case.configuration for case in fold.own} & {case.configuration for case in fold.held}
        assert not {case.source for case in fold.held} & {case.source for case in fold.training or ()}


def test_folds_do_not_depend_on_the_order_of_the_file() -> None:
    def held(given: Sequence[Case]) -> list[set[str]]:
        return [{case.id for case in fold.held} for fold in folds.known_stack(given)]

    assert held(SAMPLE) == held(SAMPLE[::-1])


# ---- scores


def test_scores_by_hand() -> None:
    """Errors 10 %, 20 %, 50 % and no answer (100 %): median 35 %, one of three intervals too narrow."""
    found = score([judged(1.1, wide=0.2), judged(0.8, wide=0.1), judged(1.5, wide=0.4), judged(None)])
    assert (found.n, found.answered) == (4, 3)
    assert found.mdape == pytest.approx(0.35)
    assert found.p90 == pytest.approx(np.quantile([0.1, 0.2, 0.5, 1.0], 0.9))
    assert found.bias == pytest.approx(0.1)
    assert found.coverage80 == pytest.approx(2 / 4)
    assert found.width80 == pytest.approx((0.4 + 0.2 + 0.8) / 3)
    assert found.mdape_answered == pytest.approx(0.2)


def test_a_source_counts_once_in_the_mean_over_sources() -> None:
    many = [judged(1.1, source="large")] * 9 + [judged(1.5, source="small")]
    assert score(many).mdape == pytest.approx(0.1)
    assert mean_over_sources(many).mdape == pytest.approx(0.3)


def test_a_group_is_given_thrice() -> None:
    found = groups([judged(1.1, source="VIA-Research/vTrain", task="pretrain"), judged(1.5)])
    assert found["known_stack"].n == 2
    assert found["known_stack/without_vtrain"].n == 1
    assert found["known_stack/mean_over_sources"].mdape == pytest.approx(0.3)
    assert found["adapters"].mdape == pytest.approx(0.5)
    assert {"task/lora", "task/pretrain", "gpu/A100", "trust/A", "size/0.4-1.6B"} <= set(found)


def test_splits_of_other_names_are_taken_together_for_their_parts() -> None:
    one, other = judged(1.1), judged(1.3, id="b")
    found = groups([replace(one, split="near"), replace(other, split="far")])
    assert found["adapters"].n == found["task/lora"].n == 2
    assert found["far/task/lora"].n == found["far"].n == 1


def test_small_adapters_need_not_be_packed() -> None:
    assert small_adapter(label(judged=False))
    assert not small_adapter(label(parameters_b=3.0))
    assert not small_adapter(label(task="pretrain"))
    assert not small_adapter(label(trust="C"))
    found = groups([judged(1.2, judged=False), judged(1.1, source="VIA-Research/vTrain", task="pretrain")])
    assert found["small_adapters"].n == 1
    assert found["known_stack"].n == 1


def test_a_false_fit_is_predicted_under_and_measured_over_the_card() -> None:
    capacity = 100.0
    fitting, full = judged(90.0, 80.0), judged(90.0, 99.0)
    said_so = judged(110.0, 99.0)
    found = memory_groups([fitting, full, said_so], [capacity] * 3)
    assert found["memory"]["false_fits"] == pytest.approx(1 / 3, abs=1e-4)


# ---- predictors


def test_constant_utilisation_recovers_itself() -> None:
    """Learning from one row predicts that row; another of its GPU and size is as far off as its utilisation."""
    one, other = next((a, b) for a, b in itertools.pairwise(JUDGED) if a.source == b.source)
    predict = constant_utilisation([one])
    answer = predict(one)
    assert answer is not None
    assert answer.p50 == pytest.approx(one.seconds)
    second = predict(other)
    assert second is not None and one.seconds and one.model == other.model
    work = [case.tokens / case.node.total_gpus for case in (one, other)]
    assert second.p50 == pytest.approx(one.seconds * work[1] / work[0])


def test_own_rows_move_the_answer_towards_what_they_measured() -> None:
    case = next(case for case in JUDGED if case.source == "InternLM/InternEvo")
    before, after = predictor(None)(case), predictor(None, [case])(case)
    assert before and after and case.seconds
    assert abs(np.log(after.p50 / case.seconds)) < abs(np.log(before.p50 / case.seconds))


def test_every_sampled_row_gets_an_ordered_answer() -> None:
    predict: Predictor = predictor(None)
    for case in SAMPLE:
        found = predict(case)
        assert found is not None, case.id
        assert 0 < found.p10 <= found.p50 <= found.p90, case.id


def test_peak_memory_is_predicted_as_its_observer_sees_it() -> None:
    peak = next(peak for peak in PEAKS if peak.source == "huggingface/peft")
    found = memory_predictor(None)(peak)
    assert found.tier == "known stack"
    assert found.p10 < found.p50 < found.p90
    assert found.p50 == pytest.approx(peak.peak_bytes, rel=0.10)
    stranger = replace(peak, label=replace(peak.label, source="nobody"))
    assert memory_predictor(None)(stranger).tier == "unseen stack"


def test_peaks_are_judged_by_who_did_not_see_them_and_rows_with_splits_by_what_is_shipped() -> None:
    two = [peak for peak in PEAKS if peak.source in ("huggingface/peft", "QwenLM/Qwen")]
    judgements, capacities = judge_memory([*two, *PEAKS[:40]])
    assert len(judgements) == len(capacities)
    assert {one.split for one in judgements} == {"known_stack", "unseen_stack"}
    found = memory_groups(judgements, capacities)
    for name in ("memory", "memory/known_stack", "memory/unseen_stack"):
        assert {"mdape", "coverage80", "false_fits"} <= set(found[name])
        assert {f"{name}/mean_over_sources", f"{name}/source/QwenLM/Qwen", f"{name}/gpu/A100"} <= set(found)
    assert found["memory"] == found["memory/unseen_stack"]
    stated, _ = judge_memory([replace(two[0], label=replace(two[0].label, split="kept"))])
    assert [one.split for one in stated] == ["kept"]
    assert stated[0].prediction == memory_predictor(None)(two[0])


def test_what_peers_are_told_is_plain_data() -> None:
    told = json.loads(json.dumps([_job(case) for case in SAMPLE]))
    assert {one["id"] for one in told} == {case.id for case in SAMPLE}
    programs = Path(accuracy.__file__).parent / "peer_programs"
    assert {f"{name.replace('-', '_')}_answers.py" for name in PEERS} == {p.name for p in programs.glob("*.py")}


# ---- the page


@pytest.fixture
def small_file(tmp_path: Path) -> Path:
    """Forty rows of three sources."""
    kept = [row for row in load() if row["source"] in ("InternLM/InternEvo", "sitar-lab/NeuSight")][:60]
    path = tmp_path / "rows.csv"
    with path.open("w", encoding="utf-8", newline="") as handle:
        out = csv.DictWriter(handle, [*kept[0], "split"])
        out.writeheader()
        out.writerows(row | {"split": ""} for row in kept)
    return path


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["accuracy.py", *words])
    accuracy.main()


def test_json_has_the_published_schema(
    small_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "--rows", str(small_file), "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "headway.accuracy/1"
    assert {"known_stack", "unseen_stack", "after_1", "after_3"} <= set(found["groups"])
    for group in found["groups"].values():
        assert {"n", "answered", "mdape", "p90", "bias", "coverage80", "width80"} <= set(group)


def test_a_split_of_the_file_is_a_group_and_nothing_of_it_is_learnt(
    small_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = small_file.read_text(encoding="utf-8").splitlines()
    lines = [text[0]] + [line + ("kept_apart" if i % 2 else "kept_near") for i, line in enumerate(text[1:])]
    small_file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    run(monkeypatch, "--rows", str(small_file), "--json")
    found = json.loads(capsys.readouterr().out)["groups"]
    assert {"kept_apart", "kept_near"} <= set(found)
    assert "known_stack" not in found
    made = accuracy.folds_of(cases(load(small_file))[0])
    assert {fold.split for fold in made} == {"kept_apart", "kept_near"}
    assert all(fold.training is None and not fold.own for fold in made)


def test_a_row_without_an_answer_counts_as_wrong(
    small_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = small_file.read_text(encoding="utf-8").replace("MI250", "Cerebras CS-3")
    small_file.write_text(text, encoding="utf-8")
    run(monkeypatch, "--rows", str(small_file), "--json")
    found = json.loads(capsys.readouterr().out)
    group = found["groups"]["unseen_stack/gpu/Cerebras CS-3"]
    assert (group["answered"], group["mdape"]) == (0, 1.0)
    assert found["not_judged"] == {"the GPU is not in the catalog": group["n"]}


def test_predictions_are_written_row_by_row(
    small_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "predictions.csv"
    run(monkeypatch, "--rows", str(small_file), "--out", str(out))
    assert "constant utilisation" in capsys.readouterr().out
    with out.open(encoding="utf-8", newline="") as handle:
        written = list(csv.DictReader(handle))
    mine = [row for row in written if row["predictor"] == "headway" and row["split"] == "unseen_stack"]
    assert len(mine) == len({row["id"] for row in mine}) > 40
    row = mine[0]
    assert float(row["error"]) == pytest.approx(float(row["p50"]) / float(row["measured"]) - 1, abs=1e-3)


def test_a_file_without_the_columns_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("id,source\n1,a\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="must have its columns"):
        run(monkeypatch, "--rows", str(path))
    with pytest.raises(SystemExit, match="No such file"):
        run(monkeypatch, "--rows", str(tmp_path / "none.csv"))
