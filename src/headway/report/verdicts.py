"""Whether an answer is good enough to go on: memory and budget, for programs that ask with `--fail-on`.

Owns the sentences of a refusal. The figures are the answer's.
"""

from __future__ import annotations

from headway.cost.calendar import LimitCheck
from headway.report.answer import Answer
from headway.report.figures import count
from headway.report.sections.calendar import limit_words, need_words
from headway.report.sections.selection import is_known

NAMES = {"wall": "time limit", "cost": "cost limit", "GPU-hours": "limit of GPU-hours"}


def refused(answer: Answer, *, fit: bool, budget: bool, confidence: float = 0.8) -> tuple[str, ...]:
    """Reasons why the plan cannot go ahead; empty when it can.

    `fit`: an experiment does not fit, or may not (the chance of an hour lost to memory is what is asked about).
    `budget`: a limit is exceeded at the middle estimate. Of several limits of one kind (time budgets to choose from)
    the largest counts. An unknown need is no reason: nothing was shown to exceed the limit.
    `confidence`: share of the intervals in the sentences.
    """
    reasons = []
    if fit:
        tight = [item.id for item in answer.estimate.experiments if item.fits in ("no", "uncertain")]
        surely = [item.id for item in answer.estimate.experiments if item.fits == "no"]
        if tight:
            verdict = ("does" if len(tight) == 1 else "do") if surely == tight else "may"
            reasons.append(f"{count(len(tight), 'experiment')} {verdict} not fit in memory: {', '.join(tight[:3])}")
    if budget:
        least = "" if is_known(answer.estimate) else " at least"
        largest: dict[str, LimitCheck] = {}
        for check in answer.calendar.limits:
            if check.what not in largest or check.limit > largest[check.what].limit:
                largest[check.what] = check
        reasons += [
            f"over the {NAMES.get(what, what)}: {limit_words(check)}, {need_words(check, confidence)}{least}"
            for what, check in largest.items()
            if check.excess
        ]
    return tuple(reasons)
