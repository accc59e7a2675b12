"""The accuracy that README.md shows: judged, kept as data, and made into a table.

Owns `data/accuracy.json` and the table. Judging is `accuracy.py`.
`python benchmarks/published.py [--peers]` judges anew and writes the file; `scripts/readme` fills the table in.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accuracy import report
from rows import DATA

PUBLISHED = Path(__file__).parent / "data" / "accuracy.json"
GROUPS = {
    "known_stack": "a new configuration of a measured stack",
    "unseen_stack": "a training stack never measured",
    "adapters": "LoRA and QLoRA, a new configuration",
    "after_1": "a new stack after one step of it was measured",
    "after_3": "… after three steps",
    "memory": "peak memory, sources never seen",
}
"""Groups of the table, in words."""
VIEWS = {"": "all rows", "/without_vtrain": "without vTrain", "/mean_over_sources": "mean of sources"}
CONSTANT = "constant utilisation"
_KEPT = ("n", "answered", "mdape", "mdape_answered", "p90", "coverage80")


def record(data: Mapping[str, Any]) -> dict[str, Any]:
    """What is published of a judge's report: the groups of the table in all views, for headway and what is beside it.

    Fractions. A predictor that does not answer a group has no entry for it.
    """
    judged = {"headway": data["groups"], **data["beside"]}
    return {
        "schema": "headway.published-accuracy/1",
        "rows": DATA.name,
        "predictors": {
            name: {
                group + view: {key: groups[group + view][key] for key in _KEPT}
                for group in GROUPS
                for view in VIEWS
                if group + view in groups
            }
            for name, groups in judged.items()
        },
    }


def published() -> dict[str, Any]:
    """The record as it was last written."""
    found: dict[str, Any] = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    return found


def table() -> str:
    """README's table: headway by group and view beside constant utilisation; then the peers that could answer."""
    predictors = published()["predictors"]
    own, constant = predictors["headway"], predictors[CONSTANT]
    lines = [
        "| what is predicted | rows | median error, p90 | 80 % interval covers | constant utilisation: median, p90 |",
        "| --- | --- | --- | --- | --- |",
    ]
    for group, words in GROUPS.items():
        for view, which in VIEWS.items():
            if group + view not in own:
                continue
            name = words if not view else f"&nbsp;&nbsp;{which}"
            score, other = own[group + view], constant.get(group + view)
            lines.append(
                f"| {name} | {score['n']:,} | **{_percent(score['mdape'])}**, {_percent(score['p90'])} "
                f"| {_percent(score['coverage80'])} | {_both(other)} |"
            )
    peers = {name: groups for name, groups in predictors.items() if name not in ("headway", CONSTANT)}
    if peers:
        lines += ["", "| the same rows by a peer | answered | median error of its answers | p90, no answer is 100 % |"]
        lines += ["| --- | --- | --- | --- |", *(_peer(name, groups["unseen_stack"]) for name, groups in peers.items())]
    return "\n".join(lines) + "\n"


def _peer(name: str, score: Mapping[str, float]) -> str:
    answered = f"{score['answered']:,} of {score['n']:,}"
    return f"| {name} | {answered} | {_percent(score['mdape_answered'])} | {_percent(score['p90'])} |"


def _both(score: Mapping[str, float] | None) -> str:
    return "–" if score is None else f"{_percent(score['mdape'])}, {_percent(score['p90'])}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 1 else f"{100 * share:.0f} %"


def main() -> None:
    """Judge and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", action="store_true", help="run peers too, each in its own environment")
    options = parser.parse_args()
    data, _ = report(DATA, peers=options.peers)
    PUBLISHED.write_text(json.dumps(record(data), indent=1) + "\n", encoding="utf-8")
    print(table(), end="")


if __name__ == "__main__":
    main()
