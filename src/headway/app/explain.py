"""The verb `explain`: the chain behind one figure of an estimate.

Owns nothing but the call; the page is `report/explain_view.py`.
"""

from __future__ import annotations

from headway.app.load import Project
from headway.estimate.nouns import Rates
from headway.report.explain_view import explain_view
from headway.report.view import View


def explain(project: Project, number_path: str, *, rates: Rates = "best", machine: str = "", seed: int = 0) -> View:
    """The page behind `number_path` (`totals.gpu_hours`, `experiments.ID.terms_s.step`, ...).

    Raises UsageError with the nearest paths when there is no such figure.
    """
    return explain_view(project.estimate(rates=rates, machine=machine, seed=seed).answer, number_path)
