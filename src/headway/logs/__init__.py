"""The logs of other tools (and our own) as observations: one file a format, recognised by name and first bytes.

Owns the list of formats. `read.py` picks one, `repair.py` has the laws that all are brought under, `text.py` what
bytes become lines. Observations and logs as nouns are `domain.observation`.
"""

from collections.abc import Mapping
from typing import Final

from headway.logs import headway
from headway.logs.reader import Reader

READERS: Final[Mapping[str, Reader]] = {
    headway.NAME: headway,
}
"""Every format by its name; a format that is not here does not exist."""
