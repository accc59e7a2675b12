"""Every format, from one list; what each escapes; that none says something the others do not."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from pathlib import Path

import pytest

import headway.report.render
from headway.cli.options import FORM_NAMES
from headway.report.answer import Answer
from headway.report.estimate_view import estimate_page
from headway.report.render import FORMATS, OF_FINDINGS, text
from headway.report.view import Code, Column, Detail, Fact, Layout, Note, Page, Section, Table, View, by_columns

ODD = "a|b <script>*x*</script> `c` & d_e"


def rendered(name: str, answer: Answer) -> str:
    return "".join(FORMATS[name](estimate_page(answer, Detail()), Layout(width=120)))


def odd_page() -> View:
    table = by_columns([(Column(name="n|m"), [ODD])])
    return View(title=ODD, sections=(Section(title="s", items=(Fact(label=ODD, text=ODD), Note(text=ODD), table)),))


def test_every_file_of_the_folder_is_a_format() -> None:
    files = {path.stem for path in Path(headway.report.render.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == {render.__module__.rpartition(".")[2] for render in (FORMATS | OF_FINDINGS).values()}
    assert tuple(FORMATS) == FORM_NAMES


@pytest.mark.parametrize("which", ["many", "one", "nothing_known"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_renders_every_answer(name: str, which: str, request: pytest.FixtureRequest) -> None:
    shown = rendered(name, request.getfixturevalue(which))
    assert shown.endswith("\n")
    assert not re.search(r"\bnan\b|\binf\b|None", shown)


@pytest.mark.parametrize("which", ["many", "one"])
def test_terminal_markdown_and_html_show_the_same_numbers(which: str, request: pytest.FixtureRequest) -> None:
    answer = request.getfixturevalue(which)
    wide = "".join(FORMATS["table"](estimate_page(answer), Layout(width=200)))
    bare = (wide, rendered("md", answer).replace("\\", ""), re.sub(r"<[^>]*>|&#x27;", " ", rendered("html", answer)))
    terminal, markdown, html = (sorted(re.findall(r"\d[\d,.]*\d|\d", shown)) for shown in bare)
    assert terminal == markdown == html
    assert len(terminal) > 60


LINES = "模型: |\n  ```é\n    a: <b>  # \x1b[31mred\x1b[0m  "


@pytest.mark.parametrize("name", ["table", "md", "html"])
def test_lines_to_copy_keep_their_shape_and_lose_what_steers(name: str) -> None:
    """Indentation, wide characters and marks of the format stay; escape sequences do not."""
    view = View(title="t", sections=(Section(title="s", items=(Code(text=LINES),)),))
    shown = html.unescape(text(view, name, Layout(width=30)))
    margin = "  " if name == "table" else ""
    assert f"{margin}模型: |\n{margin}  ```é\n{margin}    a: <b>  #  [31mred [0m" in shown
    assert "\x1b" not in shown
    if name == "md":
        assert "````yaml\n" in shown


def test_markdown_escapes_what_would_be_markup() -> None:
    shown = text(odd_page(), "md")
    assert r"| a\|b \<script\>\*x\*\</script\> \`c\` & d\_e |" in shown
    header, rule = [line for line in shown.splitlines() if line.startswith("|")][:2]
    assert (header, rule) == (r"| n\|m |", "| --- |")


def test_markdown_aligns_numbers_indents_parts_and_makes_totals_bold(many: Answer) -> None:
    shown = rendered("md", many).splitlines()
    assert "| Phase | Name | Runs | Steps | GPU-h | predicted |" in shown
    assert "| --- | --- | ---: | ---: | ---: | ---: |" in [line.replace("  ", " ") for line in shown]
    assert "| &emsp;2A | More data | 2 | 10,800 | 6.0 | 0.40 |" in "\n".join(shown)
    assert "| **Total** |  | **4** | **19,800** | **12.1** |" in "\n".join(shown)


def test_html_escapes_everything() -> None:
    shown = text(odd_page(), "html")
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") == 5


def test_csv_has_one_row_per_experiment_with_units_in_the_names(many: Answer) -> None:
    rows = list(csv.DictReader(io.StringIO(rendered("csv", many))))
    assert [row["experiment"] for row in rows] == ["1/short", "2A/middle", "2A/long", "2B/chain"]
    assert [float(row["gpu_hours_p50"]) for row in rows] == [1.0, 2.0, 4.0, 4.0]
    assert {"gpu_hours_p10", "gpu_hours_p90", "peak_memory_bytes_p50", "steps", "tokens"} <= set(rows[0])


def test_csv_leaves_the_unknown_empty(nothing_known: Answer) -> None:
    row = next(csv.DictReader(io.StringIO(rendered("csv", nothing_known))))
    assert (row["gpu_hours_p50"], row["peak_memory_bytes_p50"], row["kind"]) == ("", "", "unknown")


def test_csv_text_is_no_formula() -> None:
    page = Page(view=lambda: View(title=""), document=dict, rows=lambda: [{"a": "=1+1", "b": -1.5, "c": "x,y"}])
    assert "".join(FORMATS["csv"](page, Layout())) == 'a,b,c\n\'=1+1,-1.5,"x,y"\n'


def test_json_writes_iterators_item_by_item_and_refuses_nan() -> None:
    page = Page(
        view=lambda: View(title=""), document=lambda: {"schema": "x/1", "items": iter([1, 2]), "none": [], "名": {}}
    )
    shown = "".join(FORMATS["json"](page, Layout()))
    assert json.loads(shown) == {"schema": "x/1", "items": [1, 2], "none": [], "名": {}}
    bad = Page(view=lambda: View(title=""), document=lambda: {"a": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        "".join(FORMATS["json"](bad, Layout()))


def test_a_table_with_a_footer_ends_with_it_in_every_format() -> None:
    made = by_columns([(Column(name="a"), ["x", "Total"]), (Column(name="b"), ["1", "2"])], footers=1, strong={1})
    view = View(title="t", sections=(Section(title="", items=(made,)),))
    assert isinstance(made, Table)
    assert text(view, "table").splitlines()[-2:] == ["  ────────", "  Total  2"]
    assert "<tfoot>" in text(view, "html")
    assert text(view, "md").splitlines()[-1] == "| **Total** | **2** |"


def test_no_format_for_people_or_spreadsheets_lets_a_plan_steer_its_reader() -> None:
    evil = "a\x1b[2Jb\u202ec\x07"
    items = (Fact(label=evil, text=evil), Note(text=evil), by_columns([(Column(name=evil), [evil])]))
    view = View(title=evil, subtitle=evil, sections=(Section(title=evil, items=items),), next_command=evil)
    page = Page(view=lambda: view, document=lambda: {"schema": "x/1", "title": evil}, rows=lambda: [{"title": evil}])
    for name, render in FORMATS.items():
        shown = "".join(render(page, Layout()))
        assert not set(shown) & set("\x1b\x07"), name
        assert name == "json" or "\u202e" not in shown, name
