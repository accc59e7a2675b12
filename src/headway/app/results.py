"""What the verbs return in Python: answers that show themselves in notebooks and turn into plain data.

Owns that face. What an answer says is in `report/`; how it is made, in the file of its verb.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headway.check.fix import fixed
from headway.check.run import fails
from headway.domain.errors import Finding, Fix
from headway.estimate.nouns import Estimate
from headway.report.answer import Answer
from headway.report.contract import estimate_document
from headway.report.estimate_view import estimate_page, estimate_view
from headway.report.render import text
from headway.report.view import Detail, Page, View

if TYPE_CHECKING:
    from headway.app.measure import Measured
    from headway.report.watch_view import WatchAnswer


@dataclass(frozen=True, slots=True)
class Result:
    """An estimate with everything that is said of it."""

    answer: Answer

    @property
    def estimate(self) -> Estimate:
        """The estimate alone."""
        return self.answer.estimate

    def view(self, detail: Detail | None = None) -> View:
        """The page for people, before it is rendered."""
        return estimate_view(self.answer, detail)

    def page(self, detail: Detail | None = None) -> Page:
        """The page in all its forms."""
        return estimate_page(self.answer, detail)

    def to_dict(self) -> dict[str, Any]:
        """The JSON document `headway.estimate/1`."""
        return estimate_document(self.answer)

    def _repr_markdown_(self) -> str:
        return text(self.view(), "md")

    def _repr_html_(self) -> str:
        return text(self.view(), "html")


class _OfPage(ABC):
    """An answer with one page."""

    __slots__ = ()

    @property
    @abstractmethod
    def page(self) -> Page:
        """The page in all its forms."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON document of the verb."""
        return dict(self.page.document())

    def _repr_markdown_(self) -> str:
        return text(self.page.view(), "md")

    def _repr_html_(self) -> str:
        return text(self.page.view(), "html")


@dataclass(frozen=True, slots=True)
class CheckResult(_OfPage):
    """What `check` found in a plan (`headway.check/1`), and the plan's text with what it would change."""

    findings: tuple[Finding, ...]
    plan: str
    """File of the plan, or its name where it was made in Python."""
    text: str
    """The plan file as it stands; empty for a plan made in Python."""

    @property
    def fails(self) -> bool:
        """True when something is wrong or doubtful."""
        return fails(self.findings)

    @property
    def fixed(self) -> str:
        """The text with every safe fix; another look at it may find more (`app.fix.cured`)."""
        return fixed(self.text, self.findings)[0]

    @property
    def fixes(self) -> tuple[Fix, ...]:
        """The fixes that `fixed` holds."""
        return fixed(self.text, self.findings)[1]

    @property
    def page(self) -> Page:
        """The page in all its forms."""
        from headway.report.check_view import check_page

        return check_page(self.findings, self.plan)


@dataclass(frozen=True, slots=True)
class MeasureResult(_OfPage):
    """What a probe found, as a page, as plain data (`headway.measure/1`), and as the record that was kept."""

    measured: Measured

    @property
    def body(self) -> Mapping[str, Any]:
        """The record `headway.measurement/1`."""
        return self.measured.body

    @property
    def page(self) -> Page:
        """The page in all its forms."""
        from headway.report.measure_view import measure_page

        return measure_page(self.measured.answer)


@dataclass(frozen=True, slots=True)
class WatchResult(_OfPage):
    """How far a run is and what is left of it, as a page and as plain data (`headway.watch/1`)."""

    answer: WatchAnswer

    @property
    def page(self) -> Page:
        """The page in all its forms."""
        from headway.report.watch_view import watch_page

        return watch_page(self.answer)
