"""The verb `explain`: the chain behind one figure of an estimate.

Owns nothing but the calls; the page of a figure is `report/explain_view.py`, that of a cause of slow steps is made of
what `track/slowdowns/causes.py` says.
"""

from __future__ import annotations

from headway.app.load import Project
from headway.domain.errors import UsageError
from headway.estimate.nouns import Rates
from headway.report.explain_view import explain_view
from headway.report.view import Fact, Section, View


def explain(
    project: Project,
    number_path: str,
    *,
    rates: Rates = "best",
    machine: str = "",
    subset: str = "",
    option: str = "",
    seed: int = 0,
) -> View:
    """The page behind `number_path` (`totals.gpu_hours`, `experiments.ID.terms_s.step`, ...).

    Raises UsageError with the nearest paths when there is no such figure.
    """
    return explain_view(
        project.estimate(rates=rates, machine=machine, subset=subset, option=option, seed=seed).answer, number_path
    )


def explain_cause(code: str) -> View:
    """The page of a cause of slow steps (HW9xx). Raises UsageError for a code that none has."""
    from headway.track.slowdowns.causes import CAUSES

    cause = CAUSES.get(code.upper())
    if cause is None:
        raise UsageError("a cause of slow steps has a code", got=code, hint=f"Known: {', '.join(CAUSES)}.")
    facts = (
        Fact(label="symptom", text=cause.symptom),
        Fact(label="remedy", text=cause.remedy),
    )
    return View(
        title=f"{cause.code}: {cause.name}",
        subtitle="a cause of slow steps, found in a run",
        sections=(Section(title="", items=facts),),
        next_command="headway watch -- python train.py",
    )
