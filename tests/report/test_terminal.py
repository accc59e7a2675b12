"""The terminal: no line wider than the window, wide characters aligned, colours only when asked for."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from headway.report.answer import Answer
from headway.report.estimate_view import estimate_view
from headway.report.render import text
from headway.report.render.terminal import shorten, shortened, wrap
from headway.report.view import Column, Detail, Fact, Layout, Note, Section, Table, View, by_columns

WIDTHS = (40, 60, 80, 100, 120, 200)


def lines(view: View, width: int, color: bool = False) -> list[str]:
    return text(view, "table", Layout(width=width, color=color)).split("\n")


def page(*items: Fact | Table | Note) -> View:
    return View(title="t", sections=(Section(title="s", items=items),))


def table(*columns: tuple[Column, list[str]]) -> Table:
    return by_columns(columns)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("which", ["many", "one", "nothing_known"])
def test_no_line_is_wider_than_the_window(
    which: str, width: int, verbose: bool, request: pytest.FixtureRequest
) -> None:
    answer: Answer = request.getfixturevalue(which)
    shown = lines(estimate_view(answer, Detail(verbose=verbose)), width)
    assert max(cell_len(line) for line in shown if not line.startswith("next:")) <= width
    assert len(shown) > 15


def test_wide_characters_keep_the_columns_in_line() -> None:
    shown = lines(
        page(table((Column(name="名"), ["模型", "model"]), (Column(name="n", align="right"), ["1", "22"]))), 80
    )
    rows = [line for line in shown if line.endswith(("1", "22"))]
    assert rows == ["  模型    1", "  model  22"]
    assert {cell_len(row) for row in rows} == {11}


def test_long_cells_are_shortened_before_columns_are_left_out() -> None:
    shown = lines(page(table((Column(name="a", least=10), ["x" * 50]), (Column(name="b", drop=1), ["y" * 20]))), 40)
    assert shown[4] == f"  {'x' * 15}…  {'y' * 20}"


def test_the_least_important_column_goes_first_and_the_table_says_so() -> None:
    made = table(
        (Column(name="keep"), ["k" * 20]), (Column(name="second", drop=1), ["s" * 20]),
        (Column(name="first", drop=2), ["f" * 20]),
    )  # fmt: skip
    shown = lines(page(made), 50)
    assert shown[4] == f"  {'k' * 20}  {'s' * 20}"
    assert shown[5] == "  Left out at this width: first."


def test_an_empty_column_is_not_shown() -> None:
    made = table((Column(name="a"), ["1"]), (Column(name="empty"), [""]))
    assert "empty" not in "\n".join(lines(page(made), 80))


def test_the_kind_stands_at_the_right_edge_and_the_note_below() -> None:
    shown = lines(page(Fact(label="time", text="5 h", kind="stated", note="a remark")), 40)
    assert shown[3:5] == ["  time  5 h                       stated", "        a remark"]


def test_color_is_for_who_asks() -> None:
    view = page(Fact(label="a", text="b"), Note(text="bad", severity="error"))
    plain, colored = "\n".join(lines(view, 80)), "\n".join(lines(view, 80, color=True))
    assert "\x1b" not in plain
    assert "\x1b[1;31merror:" in colored
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == plain


def test_a_plan_cannot_steer_the_terminal() -> None:
    evil = "a\x1b[2Jb\u202ec\x07"
    view = page(Fact(label=evil, text=evil), Note(text=evil), table((Column(name="x"), [evil])))
    shown = "\n".join(lines(View(title=evil, sections=view.sections), 80))
    assert not set(shown) & set("\x1b\u202e\x07")


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=80), st.integers(4, 60))
def test_wrapped_lines_fit_and_lose_no_word(words: str, width: int) -> None:
    wrapped = wrap(words, width)
    assert all(cell_len(line) <= width for line in wrapped)
    letters = [char for char in words if char.isascii() and char.isalnum()]
    assert [char for line in wrapped for char in line if char.isascii() and char.isalnum()] == letters


@given(st.text(max_size=40), st.integers(2, 30))
def test_shortened_text_fits(words: str, width: int) -> None:
    assert cell_len(shorten(words, width)) <= width
    assert shorten(words, width) == words or shorten(words, width).endswith("…")


LONG = [f"{'financial-sentiment-' * 9}learning-rate-{rate}" for rate in ("2e-5", "5e-5")]


def test_text_is_shortened_before_a_number_is_left_out_and_stays_distinct() -> None:
    made = table(
        (Column(name="id"), LONG), (Column(name="note"), ["w" * 60, "w" * 60]),
        (Column(name="Hours", align="right"), ["1.25", "2.50"]),
        (Column(name="p10", align="right", drop=1), ["1", "2"]),
    )  # fmt: skip
    shown = lines(page(made), 60)
    rows = [line.split() for line in shown if line.endswith(("1", "2"))]
    assert [row[-2:] for row in rows] == [["1.25", "1"], ["2.50", "2"]]
    assert rows[0][0].startswith("financial")
    assert rows[0][0].endswith("rate-2e-5")
    assert rows[1][0].endswith("rate-5e-5")


def test_where_nothing_else_helps_text_is_left_out_before_numbers() -> None:
    made = table(
        (Column(name="id"), LONG), (Column(name="name", least=30), ["n" * 40, "m" * 40]),
        (Column(name="GPU-h", align="right"), ["1.25", "2.50"]),
    )  # fmt: skip
    shown = lines(page(made), 40)
    assert [line.split()[-1] for line in shown[3:6]] == ["GPU-h", "1.25", "2.50"]
    assert shown[6] == "  Left out at this width: name."


def test_a_narrow_window_keeps_phase_and_hours(many: Answer) -> None:
    phases = tuple(replace(phase, id=f"{LONG[0]}-{phase.id}", parent="") for phase in many.estimate.phases)
    view = estimate_view(replace(many, estimate=replace(many.estimate, phases=phases)))
    shown = lines(view, 40)
    start = shown.index("Phases (stated)")
    assert shown[start + 1].split()[0] == "Phase"
    assert shown[start + 1].split()[-1] == "GPU-h"
    ids = [line.split()[0] for line in shown[start + 2 : start + 6]]
    assert len(set(ids)) == 4
    assert [line.split()[-1] for line in shown[start + 2 : start + 6]] == ["1.0", "10.0", "6.0", "4.0"]


@pytest.mark.parametrize(
    ("texts", "short"),
    [
        (["one", "two"], ["one", "two"]),
        (["a long one", "b long one"], ["a long…", "b long…"]),
        (["same-start-a", "same-start-b"], ["sam…t-a", "sam…t-b"]),
        (["same-front-1-same-end", "same-front-2-same-end"], ["…1-sam…", "…2-sam…"]),
        (["模型训练一二三", "模型训练一二四"], ["模…二三", "模…二四"]),
    ],
)
def test_shortened_labels_stay_distinct(texts: list[str], short: list[str]) -> None:
    assert shortened(texts, 7) == short


@given(st.lists(st.text(max_size=30), max_size=6), st.integers(4, 20))
def test_shortened_columns_fit(texts: list[str], width: int) -> None:
    assert all(cell_len(text) <= width for text in shortened(texts, width))
