"""The accuracy that README.md shows is that of the rows and fits that are here."""

from __future__ import annotations

import pytest

from published import CONSTANT, GROUPS, VIEWS, digests, published, record, table


def test_it_was_judged_with_what_is_shipped() -> None:
    assert published()["judged"] == digests(), "stale: run scripts/bench published"


def test_headway_answers_every_group_in_every_view() -> None:
    own = published()["predictors"]["headway"]
    for group in GROUPS:
        views = {view for view in VIEWS if group + view in own}
        assert {"", "/mean_over_sources"} <= views, group
        assert own[group]["answered"] >= 0.98 * own[group]["n"]


def test_the_table_holds_the_record_and_nothing_else() -> None:
    own, beside = published()["predictors"]["headway"], published()["predictors"][CONSTANT]
    lines = [line for line in table().splitlines() if line.startswith("|")]
    for group, words in GROUPS.items():
        line = next(line for line in lines if words in line)
        assert f"**{100 * own[group]['mdape']:.1f} %**" in line
        assert f"{own[group]['n']:,}" in line
        if group in beside:
            other = beside[group]["mdape"]
            assert (f"{100 * other:.1f} %" if other < 1 else f"{100 * other:.0f} %") in line


def test_a_record_keeps_only_what_is_shown() -> None:
    score = {"n": 3, "answered": 3, "mdape": 0.1, "mdape_answered": 0.1, "p90": 0.2, "coverage80": 0.8, "width80": 1.0}
    made = record({"groups": {"known_stack": score, "gpu/A100": score}, "beside": {CONSTANT: {"known_stack": score}}})
    assert list(made["predictors"]["headway"]) == ["known_stack"]
    assert "width80" not in made["predictors"]["headway"]["known_stack"]
    assert made["predictors"][CONSTANT]["known_stack"]["mdape"] == pytest.approx(0.1)
