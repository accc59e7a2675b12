"""Errors as people read them: the rule, what came, the line with a caret, what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len

from headway.cli.refusals import as_plan_error, as_usage_error, excerpt, message
from headway.domain.errors import PlanError, Position, UsageError, UserError


def place(tmp_path: Path, text: str, line: int, column: int) -> Position:
    path = tmp_path / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    return Position(str(path), line, column)


def test_the_whole_message(tmp_path: Path) -> None:
    where = place(tmp_path, "headway: 1\nmodel: x\nmicro_batc: 8\n", 3, 1)
    error = PlanError("unknown field", got="micro_batc", where=where, field="micro_batc", candidates=("micro_batch",))
    assert list(message(error)) == [
        "error: micro_batc: unknown field, got micro_batc",
        f"  at {where}",
        "  3 | micro_batc: 8",
        "      ^",
        "  Did you mean micro_batch?",
    ]


def test_a_bare_rule_is_one_line() -> None:
    assert list(message(UserError("a rule"))) == ["error: a rule"]


def test_candidates_that_the_hint_names_are_not_repeated() -> None:
    error = UserError("a rule", got="x", hint="It may be aa or bb", candidates=("aa", "bb"))
    assert list(message(error)) == ["error: a rule, got x", "  It may be aa or bb"]


@pytest.mark.parametrize(
    ("line", "column"), [("a: b", 4), ("数据: 模型", 5), ("\tkey: 1", 2), ("é: 1", 1), ("a" * 300 + "!", 301)]
)
def test_the_caret_stands_under_the_column(tmp_path: Path, line: str, column: int) -> None:
    shown, caret = excerpt(place(tmp_path, f"{line}\n", 1, column))
    at = cell_len(caret) - 1
    under = next(char for index, char in enumerate(shown) if cell_len(shown[:index]) == at)
    assert under == line[column - 1]
    assert cell_len(shown) <= 115


@pytest.mark.parametrize("position", [Position("no-such-file", 3, 1), Position("plan"), Position("", 2, 2)])
def test_without_a_readable_line_there_is_no_excerpt(position: Position) -> None:
    assert list(excerpt(position)) == []


def test_a_place_beyond_the_file_or_a_directory_has_no_excerpt(tmp_path: Path) -> None:
    assert list(excerpt(place(tmp_path, "a\n", 9, 1))) == []
    assert list(excerpt(Position(str(tmp_path), 1, 1))) == []


def test_a_binary_line_cannot_steer_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes(b"key: \x1b[2J\xff\x07\n")
    shown = "".join(message(PlanError("a\x1brule", got="\x07", where=Position(str(path), 1, 6))))
    assert not set(shown) & set("\x1b\x07")


def test_what_a_plan_names_is_the_plans_fault_and_flags_are_not() -> None:
    with pytest.raises(PlanError, match="unknown"), as_plan_error():
        raise UserError("unknown", where=Position("p", 1, 1))
    with pytest.raises(UsageError, match="misused"), as_plan_error():
        raise UsageError("misused")


def test_what_flags_name_has_no_place_in_a_file() -> None:
    with pytest.raises(UsageError) as caught, as_usage_error():
        raise PlanError("unknown", got="x", hint="h", candidates=("y",), where=Position("p", 1, 1))
    error = caught.value
    assert (error.where, error.got, error.hint, error.candidates) == (Position(), "x", "h", ("y",))
