"""How far predictions are from published measurements, with coverage, beside the usual way and beside peers.

Owns the page. Rows are `rows.py`; folds, scores, baselines and peers are `judging/`.
`python benchmarks/accuracy.py [--rows FILE] [--json] [--peers] [--out predictions.csv]`
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from headway.domain.errors import UserError
from judging import folds
from judging.baseline import constant_utilisation
from judging.folds import Fold
from judging.prediction import LEARNS, Predictor, predictor
from judging.remembered import judge_memory
from judging.scores import Judgement, groups, memory_groups, small_adapter
from peaks import peaks
from rows import DATA, Case, Unusable, cases, load

SCHEMA = "headway.accuracy/1"
OWN_ROWS = (1, 3)
Maker = Callable[..., Predictor]


def folds_of(usable: Sequence[Case]) -> list[Fold[Case]]:
    """What is judged after learning from what. A file with splits is never learnt from.

    Rows that are not judged (unpacked ones with a known mean length) may be learnt from, and are judged as small
    adapters.
    """
    timed = [case for case in usable if case.seconds is not None and case.trust in ("A", "B")]
    if any(case.split for case in timed):
        shipped = tuple(case for case in cases(load())[0] if case.seconds is not None and case.trust in ("A", "B"))
        known = {case.source for case in shipped}
        strangers = [case for case in timed if case.source not in known]
        found = list(folds.stated(timed))
        for count in OWN_ROWS:
            found += folds.after(strangers, count, training=shipped)
        return found
    found = [*folds.known_stack(timed), *folds.unseen_stack(timed)]
    for count in OWN_ROWS:
        found += folds.after(timed, count)
    return found


def without_case(refused: Sequence[Unusable], found: Sequence[Fold[Case]]) -> list[Judgement]:
    """Rows that qualify and could not be read: no answer in every split that they would be in."""
    splits = [split for split in dict.fromkeys(fold.split for fold in found) if not split.startswith("after_")]
    return [
        Judgement(label=one.label, split=split, prediction=None, measured=0.0)
        for one in refused
        if one.label.judged
        for split in splits
        if one.label.split in ("", split)
    ]


def judge(found: Iterable[Fold[Case]], make: Maker) -> list[Judgement]:
    """Predictions of every held row that counts, by predictors that learnt from their folds."""
    judgements: list[Judgement] = []
    for fold in found:
        held = [case for case in fold.held if case.judged or small_adapter(case.label)]
        if not held:
            continue
        predict = make(fold.training, fold.own)
        judgements += [
            Judgement(label=case.label, split=fold.split, prediction=predict(case), measured=case.seconds)
            for case in held
            if case.seconds is not None
        ]
    return judgements


def unanswered(refused: Sequence[Unusable]) -> dict[str, int]:
    """Reasons of rows that qualify to be judged and cannot be."""
    return dict(Counter(one.reason for one in refused if one.label.judged))


def write_predictions(path: Path, columns: Mapping[str, Sequence[Judgement]]) -> None:
    """One line per row, split and predictor: measured seconds (bytes for memory), p10, p50, p90, error."""
    with path.open("w", encoding="utf-8", newline="") as handle:
        out = csv.writer(handle, lineterminator="\n")
        out.writerow("id source split predictor measured p10 p50 p90 error covered tier".split())
        for name, judgements in columns.items():
            for one in judgements:
                found = one.prediction
                numbers = (found.p10, found.p50, found.p90) if found else ("", "", "")
                cells = [f"{value:.6g}" if isinstance(value, float) else value for value in (one.measured, *numbers)]
                tier = found.tier if found else "no answer"
                out.writerow(
                    [
                        one.label.id,
                        one.label.source,
                        one.split,
                        name,
                        *cells,
                        f"{one.error:.4f}",
                        int(one.covered),
                        tier,
                    ]
                )


HEADER = (
    f"{'group':<44}{'n':>6}{'answ.':>7}{'median':>9}{'p90':>9}{'bias':>8}{'cov.80':>8}{'width80':>9}{'answ.med':>10}"
)


def line(name: str, score: Mapping[str, float]) -> str:
    """A row of the table; errors and widths in percent."""
    columns = {"mdape": 9, "p90": 9, "bias": 8, "coverage80": 8, "width80": 9, "mdape_answered": 10}
    cells = "".join(f"{f'{100 * score[key]:.1f}%':>{width}}" for key, width in columns.items())
    more = f"  false fits {100 * score['false_fits']:.1f}%" if "false_fits" in score else ""
    return f"{name:<44}{score['n']:>6.0f}{score['answered']:>7.0f}{cells}{more}"


def table(title: str, found: Mapping[str, Mapping[str, float]], least: int = 1) -> str:
    """Groups of at least so many rows."""
    rows = [line(name, score) for name, score in found.items() if score["n"] >= least]
    return "\n".join([f"\n{title}", HEADER, *rows])


def report(path: Path, *, peers: bool) -> tuple[dict[str, Any], dict[str, Sequence[Judgement]]]:
    """Everything that is printed, as plain data, and the judgements behind it."""
    rows = load(path)
    usable, refused = cases(rows)
    found = folds_of(usable)
    makers: dict[str, Maker] = {"headway": predictor, "constant utilisation": constant_utilisation}
    if peers:
        from judging.peers import PEERS, peer

        makers |= {name: peer(name, usable) for name in PEERS}
    nothing = without_case(refused, found)
    splits = [fold for fold in found if not fold.own]
    learning = ("headway", "constant utilisation")
    judged: dict[str, Sequence[Judgement]] = {
        name: judge(found if name in learning else splits, make) + nothing for name, make in makers.items()
    }
    remembered, capacities = judge_memory(peaks(rows)[0])
    scores = {
        name: {group: score.to_dict() for group, score in groups(judgements).items()}
        for name, judgements in judged.items()
    }
    own = scores.pop("headway") | memory_groups(remembered, capacities)
    data = {"schema": SCHEMA, "groups": own, "beside": scores, "not_judged": unanswered(refused)}
    return data, judged | {"headway memory": remembered}


def printed(data: Mapping[str, Any]) -> str:
    """The tables: headway in full, the others by their main groups."""
    parts_of = ("/source/", "/task/", "/gpu/", "/size/", "/trust/")
    parts = [table(f"headway, seconds per step ({LEARNS}); memory: peak bytes", data["groups"], least=5)]
    for name, found in data["beside"].items():
        whole = {group: score for group, score in found.items() if not any(p in f"/{group}" for p in parts_of)}
        parts.append(table(name, whole))
    if data["not_judged"]:
        parts.append("\nqualify, but cannot be described")
        parts += [f"{count:6d}  {reason}" for reason, count in data["not_judged"].items()]
    return "\n".join(parts)


def main() -> None:
    """Judge, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=Path, default=DATA, help="rows in the columns of data/throughput.csv")
    parser.add_argument("--json", action="store_true", help=f"print {SCHEMA}")
    parser.add_argument("--peers", action="store_true", help="run peers too, each in its own environment")
    parser.add_argument("--out", type=Path, help="write every prediction to this CSV file")
    options = parser.parse_args()
    start = time.perf_counter()
    try:
        data, judgements = report(options.rows, peers=options.peers)
        if options.out:
            write_predictions(options.out, judgements)
    except (UserError, OSError) as error:
        sys.exit(f"accuracy: {error}")
    print(json.dumps(data, indent=1) if options.json else printed(data))
    print(f"judged in {time.perf_counter() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
