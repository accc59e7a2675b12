"""Promised against measured: hand figures, and what holds of every verdict."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.check.verdicts.promise import promise_for
from headway.check.verdicts.reasons import signed_share, why
from headway.check.verdicts.verdict import LOOP, Verdict, compare, document, verdict_from
from headway.domain.errors import UserError
from headway.domain.spread import Spread

from .verdicts import Ends, promise, promised, ran, run_body

HOUR = 3600.0
# 5.0 h: 1,000 steps of 17.1 s and 4 evaluations of 225 s
QA: dict[str, tuple[float, Ends]] = {
    "step": (1000, (16_000.0, 17_100.0, 19_000.0)),
    "evaluation": (4, (700.0, 900.0, 1200.0)),
}


def part(verdict: Verdict, name: str) -> Any:
    return next(term for term in verdict.terms if term.term == name)


# ---- by hand


def test_the_mock_up_of_the_page_by_hand() -> None:
    # 5.3 h: steps 1 % faster (16,929 s), 2.1 x the evaluations, each as long as promised
    found = compare(promise(QA), ran({"step": (1000, 16_929.0), "evaluation": (8.4, 1890.0)}))
    assert found.promised.p50 == 18_000
    assert found.measured_s == pytest.approx(18_819)
    assert found.error == pytest.approx(0.0455)
    evaluation, step = part(found, "evaluation"), part(found, "step")
    assert (evaluation.count_s, evaluation.rate_s) == (pytest.approx(990), pytest.approx(0))
    assert (step.count_s, step.rate_s) == (0, pytest.approx(-171))
    assert why(found) == "evaluation +16.5 min (2.1× its evaluations); step −2.85 min (1 % shorter each)"
    assert found.inside is True
    assert evaluation.inside is False


def test_count_and_rate_share_a_difference_without_remainder() -> None:
    # 1,200 steps of 20 s where 1,000 of 17.1 s were promised: 200 x 17.1 by count, 1,200 x 2.9 by rate
    found = part(compare(promise(QA), ran({"step": (1200, 24_000.0), "evaluation": (4, 900.0)})), "step")
    assert found.count_s == pytest.approx(3420)
    assert found.rate_s == pytest.approx(3480)
    assert found.difference_s == pytest.approx(24_000 - 17_100)
    assert found.each_ratio == pytest.approx(20 / 17.1)


def test_a_run_that_is_not_finished_is_compared_at_its_progress() -> None:
    body = run_body({"step": (610, 610 * 17.1), "evaluation": (2, 450.0)}, total_steps=1000, ended=None)
    from headway.check.verdicts.ran import ran_from

    found = compare(promise(QA), ran_from(body))
    assert found.progress == pytest.approx(0.61)
    assert not found.complete
    assert found.promised.p50 == pytest.approx(0.61 * 17_100 + 450)
    assert found.difference_s == pytest.approx(0, abs=1e-6)
    assert why(found) == "seen at 61 %: as promised"


def test_more_evaluations_than_its_progress_has_room_for_are_too_many() -> None:
    found = compare(promise(QA), ran({"step": (500, 8550.0), "evaluation": (5, 1125.0)}, total_steps=1000))
    # at half of the run 2 of the 4 were due
    assert part(found, "evaluation").promised_units == 2
    assert part(found, "evaluation").count_s == pytest.approx(3 * 225)
    assert "2.5× its evaluations" in why(found)


def test_a_finished_run_of_somewhat_fewer_steps_is_a_matter_of_count() -> None:
    found = compare(promise(QA), ran({"step": (920, 920 * 17.1), "evaluation": (4, 900.0)}, total_steps=920))
    assert found.complete
    assert part(found, "step").count_s == pytest.approx(-80 * 17.1)
    assert why(found) == "step −22.8 min (8 % fewer steps)"


def test_a_short_trial_is_compared_with_its_part_of_the_promise_and_is_not_that_run() -> None:
    found = compare(promise(QA), ran({"step": (40, 40 * 17.1)}, total_steps=40))
    assert not found.complete and not found.counts
    assert found.promised.p50 == pytest.approx(0.04 * 17_100)
    assert found.difference_s == pytest.approx(0)
    assert why(found) == "ended at 4 %: as promised"


def test_a_wall_time_alone_is_compared_as_a_whole() -> None:
    found = compare(promise(QA), ran({}, wall_s=20_000.0, steps=1000, total_steps=1000))
    (term,) = found.terms
    assert (term.term, term.includes) == ("step", ("evaluation",))
    assert term.promised is not None and term.promised.p50 == 18_000
    assert found.measured_s == 20_000
    assert found.left_out == ()


def test_time_that_no_term_holds_counts_where_everything_was_told_apart() -> None:
    found = compare(promise(QA), ran({"step": (1000, 17_100.0), "evaluation": (4, 900.0)}, wall_s=18_600.0))
    assert part(found, "outside").rate_s == pytest.approx(600)
    assert why(found) == "+10 min outside any term"


def test_what_happened_before_the_loop_is_compared_only_where_it_was_timed() -> None:
    terms = {**QA, "load": (1.0, (20.0, 30.0, 60.0))}
    found = compare(promise(terms), ran({"step": (1000, 17_100.0), "evaluation": (4, 900.0)}, wall_s=18_000.0))
    assert found.left_out == ("load",)
    assert found.difference_s == pytest.approx(0)


def test_waiting_that_was_not_timed_apart_is_part_of_the_step() -> None:
    terms = {**QA, "data_wait": (1000.0, (100.0, 300.0, 900.0))}
    found = compare(promise(terms), ran({"step": (1000, 17_400.0), "evaluation": (4, 900.0)}))
    assert part(found, "step").includes == ("data_wait",)
    assert part(found, "step").difference_s == pytest.approx(0)


def test_a_step_that_was_promised_alone_is_a_whole_step() -> None:
    found = compare(promise(QA), ran({"step": (1000, 17_000.0), "data_wait": (1000, 100.0), "evaluation": (4, 900.0)}))
    assert part(found, "step").measured_s == 17_100
    assert found.difference_s == pytest.approx(0)


def test_what_was_never_promised_is_said_to_be_so() -> None:
    found = compare(promise(QA), ran({"step": (1000, 17_100.0), "evaluation": (4, 900.0), "checkpoint": (2, 600.0)}))
    assert part(found, "checkpoint").promised is None
    assert part(found, "checkpoint").inside is None
    assert why(found) == "checkpoint +10 min (nothing was promised)"


def test_the_whole_keeps_the_promised_doubt_of_the_whole() -> None:
    # ends of the parts would add up to 16,700-20,200 s; the promise of the whole is narrower, as its doubts cancel
    wide = compare(promise(QA), ran({"step": (1000, 1.0), "evaluation": (4, 1.0)}))
    narrow = compare(
        promise(QA, wall=(17_000.0, 18_100.0, 19_500.0)), ran({"step": (1000, 1.0), "evaluation": (4, 1.0)})
    )
    assert (wide.promised.p10, wide.promised.p90) == (16_700, 20_200)
    assert (narrow.promised.p10, narrow.promised.p50, narrow.promised.p90) == pytest.approx((17_000, 18_100, 19_500))
    assert narrow.together_s == pytest.approx(-100)


def test_what_the_whole_is_longer_than_its_middles_goes_with_the_lopsided_terms() -> None:
    # load 10-20-100 s is what makes the whole 1,035 s and not 1,020; a run that did not time it is held against 1,000
    terms = {"step": (1000.0, (900.0, 1000.0, 1100.0)), "load": (1.0, (10.0, 20.0, 100.0))}
    wall = (930.0, 1035.0, 1150.0)
    assert compare(promise(terms, wall=wall), ran({"step": (1000, 1000.0)})).promised.p50 == pytest.approx(1000)
    both = compare(promise(terms, wall=wall), ran({"step": (1000, 1000.0), "load": (1, 20.0)}))
    assert both.promised.p50 == pytest.approx(1035)
    assert both.together_s == pytest.approx(-15)


@pytest.mark.parametrize(
    ("measured", "tolerance", "missed"),
    [(19_999, None, False), (20_201, None, True), (10_000, None, False), (10_000, 0.1, True), (19_700, 0.1, False)],
)
def test_a_miss_is_above_p90_or_beyond_the_tolerance_either_way(
    measured: float, tolerance: float | None, missed: bool
) -> None:
    found = compare(promise(QA), ran({"step": (1000, measured - 900), "evaluation": (4, 900.0)}))
    assert found.missed(tolerance) is missed


def test_a_promise_without_an_interval_is_missed_ten_percent_above_it() -> None:
    point = {"step": (1000.0, (1000.0, 1000.0, 1000.0))}
    assert compare(promise(point), ran({"step": (1000, 1099.0)})).inside is None
    assert not compare(promise(point), ran({"step": (1000, 1099.0)})).missed(None)
    assert compare(promise(point), ran({"step": (1000, 1101.0)})).missed(None)


def test_nothing_in_common_says_what_both_hold() -> None:
    with pytest.raises(UserError) as refused:
        compare(promise(QA), ran({"load": (1, 20.0)}))
    assert "load against step, evaluation" in str(refused.value)
    assert "--experiment" in refused.value.hint


@pytest.mark.parametrize(
    "spoilt", [{"schema": "headway.promise/9"}, {"experiments": [{"id": "qa-10k"}]}, {"experiments": 5}, {"plan": None}]
)
def test_a_record_of_another_form_is_refused_not_a_traceback(spoilt: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"headway\.promise/1"):
        promise_for(promised(QA) | spoilt, "qa-10k")


def test_stages_that_a_run_names_are_those_it_is_compared_with() -> None:
    body = promised(QA)
    (stage,) = body["experiments"][0]["stages"]
    ends = {"p10": 50.0, "p50": 60.0, "p90": 80.0, "kind": "stated", "source": ""}
    judge = stage | {"name": "judge", "kind": "evaluate", "counts": {"evaluation": 1}, "terms_s": {"evaluation": ends}}
    body["experiments"][0]["stages"].append(judge)
    found = promise_for(body, "e1")  # by its fingerprint
    assert found is not None
    assert compare(found, ran({"evaluation": (1, 66.0)}, stage="judge")).promised.p50 == 60
    whole = compare(found, ran({"step": (1000, 17_100.0), "evaluation": (4, 900.0)}))
    assert whole.promised.p50 == 18_000, "a run that names no stage is the one that trains"


@pytest.mark.parametrize(("share", "text"), [(0.06, "+6 %"), (-0.004, "−0.4 %"), (0.0, "0 %"), (11.97, "+1,197 %")])
def test_errors_are_short(share: float, text: str) -> None:
    assert signed_share(share) == text


# ---- a run without a step


def test_a_run_that_failed_before_its_first_step_keeps_no_promise() -> None:
    terms = {**QA, "load": (1.0, (20.0, 30.0, 60.0))}
    found = compare(promise(terms), ran({"load": (1, 25.0)}, total_steps=1000))
    assert (found.progress, found.complete, found.counts) == (0.0, False, False)
    assert why(found) == "ended at 0 %: load −5 s (17 % shorter each)"


@pytest.mark.parametrize(
    "said", [{"total_steps": 1000, "source": "tfevents"}, {"source": "console"}, {"source": "sacct", "finished": False}]
)
def test_without_a_step_and_an_end_there_is_nothing_to_compare(said: dict[str, Any]) -> None:
    """The last is a Slurm job that failed: nobody knows how far it came."""
    with pytest.raises(UserError, match="that is not finished is compared by its steps"):
        compare(promise(QA), ran({}, wall_s=30.0, **said))


def test_a_job_that_counts_no_steps_did_all_of_them_where_it_finished() -> None:
    found = compare(promise(QA), ran({}, wall_s=18_000.0, source="sacct", finished=True))
    assert found.complete and found.counts
    assert found.difference_s == pytest.approx(0)


# ---- laws

seconds = st.floats(min_value=0.1, max_value=1e7)
units = st.floats(min_value=1, max_value=1e6)


@st.composite
def ends(draw: st.DrawFn) -> Ends:
    low, middle, high = sorted(draw(st.tuples(seconds, seconds, seconds)))
    return low, middle, high


names = st.sampled_from((*LOOP, "load", "final_save"))
promises = st.dictionaries(names, st.tuples(units, ends()), min_size=1, max_size=6)
runs = st.dictionaries(names, st.tuples(units, seconds), max_size=6)


def verdict_of(
    terms: dict[str, tuple[float, Ends]], timed: dict[str, tuple[float, float]], wall: float | None, share: float
) -> Verdict | None:
    goal = timed.get("step", (0.0, 0.0))[0] / share
    try:
        return compare(promise(terms), ran(timed, wall_s=wall, total_steps=goal or None))
    except UserError:
        return None


@given(promises, runs, st.none() | seconds, st.floats(0.01, 1.0))
def test_parts_add_up_to_the_difference(
    terms: dict[str, tuple[float, Ends]], timed: dict[str, tuple[float, float]], wall: float | None, share: float
) -> None:
    found = verdict_of(terms, timed, wall, share)
    if found is None:
        return
    size = found.measured_s + found.promised.p50 + sum(abs(one.count_s) + abs(one.rate_s) for one in found.terms)
    parts = sum(one.count_s + one.rate_s for one in found.terms) + found.together_s
    assert parts == pytest.approx(found.difference_s, abs=1e-9 * size)
    for one in found.terms:
        whole = one.measured_s - (0.0 if one.promised is None else one.promised.p50)
        assert one.difference_s == pytest.approx(whole, abs=1e-9 * size)


@given(promises, runs, st.none() | seconds, st.floats(0.01, 1.0))
def test_inside_is_between_the_ends(
    terms: dict[str, tuple[float, Ends]], timed: dict[str, tuple[float, float]], wall: float | None, share: float
) -> None:
    found = verdict_of(terms, timed, wall, share)
    if found is None:
        return
    judged: list[tuple[Spread, float, bool | None]] = [(found.promised, found.measured_s, found.inside)]
    judged += [(one.promised, one.measured_s, one.inside) for one in found.terms if one.promised is not None]
    for spread, measured, inside in judged:
        assert inside == (None if spread.p10 == spread.p90 else spread.p10 <= measured <= spread.p90)


@given(promises, runs, st.floats(0.25, 4.0))
def test_a_clock_in_other_units_changes_no_ratio(
    terms: dict[str, tuple[float, Ends]], timed: dict[str, tuple[float, float]], factor: float
) -> None:
    slow = {name: (count, (a * factor, b * factor, c * factor)) for name, (count, (a, b, c)) in terms.items()}
    plain = verdict_of(terms, timed, None, 1.0)
    scaled = verdict_of(slow, {name: (count, s * factor) for name, (count, s) in timed.items()}, None, 1.0)
    assert (plain is None) == (scaled is None)
    if plain is not None and scaled is not None:
        assert scaled.error == pytest.approx(plain.error, rel=1e-9, abs=1e-9)
        assert [one.each_ratio for one in scaled.terms] == pytest.approx([one.each_ratio for one in plain.terms])


@given(promises, runs, st.none() | seconds)
def test_a_verdict_survives_its_record(
    terms: dict[str, tuple[float, Ends]], timed: dict[str, tuple[float, float]], wall: float | None
) -> None:
    found = verdict_of(terms, timed, wall, 1.0)
    if found is not None:
        body = json.loads(json.dumps(document(found)))
        assert document(verdict_from(body)) == body


@pytest.mark.parametrize(("done", "expected", "count_s"), [(2, 4, -60), (4, 4, 0), (5, 5, 0), (9, 5, 120)])
def test_half_a_run_was_due_half_its_evaluations(done: int, expected: int, count_s: float) -> None:
    """Ten of 30 s are promised; at 50 % the fifth may be over or not, and fewer or more than that is a difference."""
    made = promise({"step": (1000, (1800, 2000, 2300)), "evaluation": (10, (250, 300, 400))})
    half = ran({"step": (500, 1000), "evaluation": (done, 30 * done)}, total_steps=1000)
    (evaluation,) = (term for term in compare(made, half).terms if term.term == "evaluation")
    assert (evaluation.promised_units, evaluation.count_s, evaluation.rate_s) == (expected, count_s, 0)
