"""HW8xx, diagnoses: causes and remedies that have nothing to do with the symptom they are listed under.

Owns what a slow step or a long run can come from, as far as words tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from headway.check.case import Case
from headway.check.rule import Rule
from headway.domain.errors import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mismatch:
    """Words under a symptom that do not belong there."""

    symptoms: tuple[str, ...]
    words: re.Pattern[str]
    why: str
    instead: str
    remedy_only: bool = False
    """The words are wrong as a remedy; as a cause they may be right."""


def _words(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


MISMATCHES = (
    _Mismatch(
        symptoms=("step", "wall"),
        words=_words(r"\bcpu\b.*nvidia-smi|nvidia-smi.*\bcpu\b"),
        why="nvidia-smi shows GPUs and no CPU load",
        instead="Look at top or py-spy for the CPU; nvidia-smi tells whether the GPU waits for it.",
    ),
    _Mismatch(
        symptoms=("step",),
        words=_words(r"\bmodel\b.*\bload(s|ing)?\b|\bload(s|ing)? the model\b"),
        why="a model is loaded once, before the first step, and makes none slower",
        instead="Compare the step with the model's FLOP: a smaller model cures that, not a faster disk.",
    ),
    _Mismatch(
        symptoms=("step",),
        words=_words(r"^(?!.*\b(less|lower|reduc\w*|fewer|smaller|no|without)\b[^,;]*accum).*\bgrad(ient)?[ _]?accum"),
        remedy_only=True,
        why="accumulation makes an optimizer step of several passes and no pass faster",
        instead="A larger micro_batch, packing or shorter rows make a token cheaper.",
    ),
    _Mismatch(
        symptoms=("step", "wall"),
        words=_words(r"\bmemory\b.*(\bover|>|\babove)\s*\d"),
        why="memory that is in use slows nothing down while the step fits",
        instead="Look for allocator retries or host offloading; leave memory that is merely full.",
    ),
)


def _entries(alert: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Cause and remedy of each thing to check; the remedy is empty where only a cause is named."""
    check = alert.get("check")
    if isinstance(check, Mapping):
        yield from ((str(cause), str(remedy)) for cause, remedy in check.items())
    elif isinstance(check, tuple | list):
        yield from ((str(cause), "") for cause in check)


def _diagnoses(case: Case) -> Iterator[Finding]:
    alerts = case.plan.run.alert
    for index, alert in enumerate(alerts):
        symptoms = [key for key in ("step", "wall") if key in alert]
        for position, (cause, remedy) in enumerate(_entries(alert)):
            for one in MISMATCHES:
                said = remedy if one.remedy_only else f"{cause}: {remedy}"
                if not set(symptoms) & set(one.symptoms) or not one.words.search(said):
                    continue
                paths = [f"run.alert.{prefix}check.{key}" for prefix in (f"{index}.", "") for key in (cause, position)]
                known = [case.plan.positions[path] for path in paths if path in case.plan.positions]
                yield DIAGNOSIS.finding(
                    f"under a slow {symptoms[0] if symptoms[0] == 'step' else 'run'}, {cause}"
                    f"{f' ({remedy})' if remedy else ''}: {one.why}",
                    where=known[0] if known else case.plan.where("run.alert"),
                    evidence={"symptom": symptoms, "cause": cause, "remedy": remedy, "alert": index + 1},
                    hint=one.instead,
                )


_ALERT = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 10k, length: 128}}
run:
  machine: T4
  alert: {{step: over 1 s, check: {{{check}}}}}
"""

DIAGNOSIS = Rule(
    code="HW808",
    name="diagnosis beside the symptom",
    severity="warning",
    says="What is to be checked when something is slow can make it slow.",
    because="Who follows a list from the top loses an afternoon on its first wrong line.",
    fails=_ALERT.format(check="CPU bottleneck (nvidia-smi): more workers"),
    passes=_ALERT.format(check="CPU bottleneck (top): more workers"),
    find=_diagnoses,
)
RULES = (DIAGNOSIS,)
