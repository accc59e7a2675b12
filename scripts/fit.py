"""Writes `src/headway/catalog/data/speed.json` from the published rows, with its provenance."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from headway.predict.learning.calibrate import fit  # noqa: E402
from headway.predict.learning.record import to_record  # noqa: E402
from judging.sample import sample  # noqa: E402
from rows import DATA, cases, load  # noqa: E402

TARGET = ROOT / "src" / "headway" / "catalog" / "data" / "speed.json"


def main() -> None:
    """Fit on every usable row and write the record, one stack a line."""
    usable, refused = cases(load())
    timed = [case for case in usable if case.seconds]
    record = to_record(fit(sample(timed)))
    record["provenance"] = {
        "rows": len(timed),
        "not_usable": len(refused),
        "sha256": hashlib.sha256(DATA.read_bytes()).hexdigest(),
        "data": str(DATA.relative_to(ROOT)),
        "sources": dict(sorted(Counter(case.source for case in timed).items())),
    }
    stacks = record.pop("stacks")
    head = json.dumps(record, indent=1)[:-2]
    lines = ",\n".join(
        f"  {json.dumps(name)}: {json.dumps(one, separators=(',', ':'))}" for name, one in stacks.items()
    )
    TARGET.write_text(f'{head},\n "stacks": {{\n{lines}\n }}\n}}\n', encoding="utf-8")
    print(f"wrote {TARGET.relative_to(ROOT)}: {len(timed)} rows of {len(stacks)} stacks")


if __name__ == "__main__":
    main()
