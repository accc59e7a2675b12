"""Writes `speed.json` and `memory.json` of `src/headway/catalog/data` from the published rows, with their provenance.

`scripts/fit.py [speed | memory]`: both without a word.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from headway.predict.learning import peak_record  # noqa: E402
from headway.predict.learning.calibrate import fit  # noqa: E402
from headway.predict.learning.peak_fit import fit_peaks  # noqa: E402
from headway.predict.learning.record import to_record  # noqa: E402
from judging.peak_sample import peak_sample  # noqa: E402
from judging.sample import sample  # noqa: E402
from peaks import peaks  # noqa: E402
from rows import DATA, cases, load  # noqa: E402

SHIPPED = ROOT / "src" / "headway" / "catalog" / "data"
COLLECTED = "2026-11-21"


def _write(target: Path, record: dict[str, Any], sources: Iterable[str], refused: int) -> None:
    """The record with its provenance, one stack a line."""
    counts = dict(sorted(Counter(sources).items()))
    rows = sum(counts.values())
    record["provenance"] = {
        "rows": rows,
        "not_usable": refused,
        "sha256": hashlib.sha256(DATA.read_bytes()).hexdigest(),
        "data": str(DATA.relative_to(ROOT)),
        "sources": counts,
    }
    stacks = record.pop("stacks")
    head = json.dumps(record, indent=1)[:-2]
    lines = ",\n".join(
        f"  {json.dumps(name)}: {json.dumps(one, separators=(',', ':'))}" for name, one in stacks.items()
    )
    target.write_text(f'{head},\n "stacks": {{\n{lines}\n }}\n}}\n', encoding="utf-8")
    print(f"wrote {target.relative_to(ROOT)}: {rows} rows of {len(stacks)} stacks")


def fit_speed() -> None:
    """Step times: every usable row that has one."""
    usable, refused = cases(load())
    timed = [case for case in usable if case.seconds]
    _write(SHIPPED / "speed.json", to_record(fit(sample(timed))), (case.source for case in timed), len(refused))


def fit_memory() -> None:
    """Peaks of memory: every usable row of trust A and B that has one."""
    usable, refused = peaks(load())
    record = peak_record.to_record(fit_peaks(peak_sample(usable)), COLLECTED)
    _write(SHIPPED / "memory.json", record, (peak.source for peak in usable), len(refused))


FITS = {"speed": fit_speed, "memory": fit_memory}


def main() -> None:
    """Fit what is named, or everything."""
    for name in sys.argv[1:] or FITS:
        FITS[name]()


if __name__ == "__main__":
    main()
