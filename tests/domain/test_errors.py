"""Messages as data, and as one line."""

from __future__ import annotations

from headway.domain.errors import Finding, PlanError, Position, UsageError, UserError


def test_positions_say_what_is_known() -> None:
    assert str(Position("plan.yaml", 3, 7)) == "plan.yaml:3:7"
    assert str(Position("plan.yaml", 3)) == "plan.yaml:3"
    assert str(Position("plan.yaml")) == "plan.yaml"
    assert str(Position()) == "plan"
    assert Position("a", 2, 1) < Position("a", 10, 1)


def test_a_message_has_rule_came_where_and_hint() -> None:
    error = PlanError("a count is needed", got="'x'", hint="Write 5.", where=Position("p.yaml", 2, 3), field="steps")
    assert str(error) == "p.yaml:2:3: steps: a count is needed, got 'x'. Write 5."
    assert str(UsageError("no such command")) == "no such command"


def test_a_place_is_added_once() -> None:
    bare = UserError("a rule", got="x", candidates=("y",))
    placed = bare.at(Position("p", 1, 2), "a.b")
    assert (placed.where, placed.field, placed.candidates) == (Position("p", 1, 2), "a.b", ("y",))
    again = placed.at(Position("q", 9, 9), "c")
    assert (again.where, again.field) == (Position("p", 1, 2), "a.b")
    assert isinstance(PlanError("a rule").at(Position("p", 1, 1)), PlanError)


def test_a_finding_is_plain_data() -> None:
    finding = Finding(code="R1", severity="error", message="m")
    assert (finding.where, dict(finding.evidence), finding.hint) == (Position(), {}, "")
