"""A process that stores records for ever, or so many, and says the id of each that is safe: PLACE NAME [COUNT]."""

from __future__ import annotations

import itertools
import os
import sys

from headway.domain.record import Record
from headway.store import open_store

place, name = sys.argv[1:3]
numbers = range(int(sys.argv[3])) if len(sys.argv) > 3 else itertools.count()
with open_store(place) as store:
    for number in numbers:
        body = {"schema": "headway.run/1", "plan": name, "number": number, "said": "x" * (number * 997 % 6000)}
        key = store.append(Record(kind="run", body=body, made="2026-11-21T00:00:00Z"))
        os.write(1, f"{key}\n".encode())  # one write is whole or not there, and has no buffer to lose
