"""Messages to people, as data: what rule, what came, where, what to do.

Every refusal of bad input is a `UserError`; every remark on a result is a `Finding`. Text is made from them at the
page (`report/`, `cli/`), so that a program can read the same message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file; lines and columns count from 1, 0 means unknown."""

    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """`file:line:column`, as much of it as is known."""
        parts = [self.file or "plan"]
        if self.line:
            parts.append(str(self.line))
            if self.column:
                parts.append(str(self.column))
        return ":".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """A change of the file that cures a finding: the text `old` at `where` becomes `new`."""

    where: Position
    old: str
    """What stands there now; nothing is changed where something else does."""
    new: str
    says: str
    """What the change does, in words."""
    safe: bool = True
    """False where it changes what is run, not only what the plan says of it: applied when that is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A remark on a plan or an estimate; `code` is stable, `evidence` holds the numbers behind the sentence."""

    code: str
    severity: Severity
    message: str
    where: Position = Position()
    evidence: Mapping[str, object] = field(default_factory=dict)
    hint: str = ""
    fix: Fix | None = None


class UserError(Exception):
    """Something a person gave cannot be used.

    `rule` is the sentence that was broken, `got` what came instead, `hint` what to do, `candidates` what was
    probably meant, `where` the place in a file. `field` is the dotted path of the plan's key.
    """

    def __init__(
        self,
        rule: str,
        *,
        got: str = "",
        hint: str = "",
        where: Position = Position(),
        field: str = "",
        candidates: tuple[str, ...] = (),
    ) -> None:
        super().__init__(rule)
        self.rule = rule
        self.got = got
        self.hint = hint
        self.where = where
        self.field = field
        self.candidates = candidates

    def at(self, where: Position, field: str = "") -> UserError:
        """The same message with a place, unless it has one already."""
        return type(self)(
            self.rule,
            got=self.got,
            hint=self.hint,
            where=self.where if self.where.line else where,
            field=self.field or field,
            candidates=self.candidates,
        )

    def __str__(self) -> str:
        """One line: `file:line:column: field: rule, got X. hint`."""
        place = f"{self.where}: " if self.where.file or self.where.line else ""
        name = f"{self.field}: " if self.field else ""
        came = f", got {self.got}" if self.got else ""
        hint = f". {self.hint}" if self.hint else ""
        return f"{place}{name}{self.rule}{came}{hint}"


class PlanError(UserError):
    """A plan, or what it names, cannot be used (exit code 3)."""


class MissingPackageError(UserError, ImportError):
    """A part of headway needs a package that is not installed; an ImportError too, for programs that go on without."""


class UsageError(UserError):
    """A command was called in a way it does not understand (exit code 2)."""
