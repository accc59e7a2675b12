"""How people write the name of an accelerator: one normal form for all spellings.

Owns the reading of a name (words, memory). Which devices exist is `devices.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SPELLINGS: tuple[tuple[str, str], ...] = (
    (r"\((r|tm)\)|®|™", " "),
    (r"[_,/()\[\]+:]+|-+", " "),
    # An H100 that reports HBM3 is the SXM board: the PCIe one has HBM2e (datasheet), and torch names neither form.
    (r"\bh100\b(.*)\bhbm3\b", r"h100 sxm \1"),
    (r"\b(hbm\d?e?|gddr\dx?)\b", " "),
    (r"\bsxm\d\b", "sxm"),
    (r"\bpci(e| e| express)(\d|x16)?\b", "pcie"),
    (r"\b(rtx|gtx)(?=[a\d])", r"\1 "),
    (r"\b(rtx|quadro|titan)(?=(rtx|titan|pro))", r"\1 "),
    (r"\b([avhp]\d00)(?=(sxm|pcie))", r"\1 "),
    (r"\b(\d{4}) ?(ti|super|d)\b", r"\1 \2"),
    (r"\bgaudi +(?=\d)", "gaudi"),
    (r"\bmi +(?=\d)", "mi"),
    (r"\b(trn|trainium) ?(?=\d)", "trainium"),
    (r"\bv5 ?lite(pod)?\b", "v5e"),
    (r"\btrillium\b", "v6e"),
    (r"\bironwood\b", "v7x"),
    (r"\btpu ?(?=v\d)", "tpu "),
    (r"\bworkstation edition\b", "ws"),
    (r"\b(blackwell )?server edition\b|\bbse\b", "blackwell se"),
)
"""Rewrites of a lower-case name, in order: many spellings, one form."""

_NOISE = frozenset(
    "nvidia geforce tesla amd instinct radeon intel google aws apple corporation gpu gpus graphics card accelerator ai"
    " generation edition rtx rx tensor core cores the memory vram oam module tpu cloud".split()
)
"""Words that tell no two devices of the catalog apart."""

_MEMORY = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)\s*(gib|gb|g)\b")
_BARE_MEMORY = frozenset("16 24 32 40 48 64 80 94 96 128 141 180 192".split())
_MIG = re.compile(r"\b\d+g\.\d+gb\b")


@dataclass(frozen=True, slots=True)
class DeviceName:
    """A name taken apart: its telling words and the memory it states (bytes), if any."""

    words: frozenset[str]
    memory_bytes: float | None = None

    @property
    def tells(self) -> bool:
        """A word with a digit (or `titan`) is there: without one (`Ti`, `Ada`, `SXM`) no device is named."""
        return any(word == "titan" or any(c.isdigit() for c in word) for word in self.words)


def is_slice(text: str) -> bool:
    """The text names a MIG slice (`3g.40gb`), which is a part of a device."""
    return bool(_MIG.search(text.lower()))


def plain(text: str) -> str:
    """The name in lower case without vendor, memory and form factor, for measuring how near two names are."""
    name = _MEMORY.sub(" ", text.lower().replace("_", " "))
    drop = (_NOISE - {"rtx", "rx", "tpu"}) | {"sxm", "sxm2", "sxm4", "sxm5", "pcie"}
    return " ".join(word for word in re.findall(r"[a-z0-9]+", name) if word not in drop)


def normalise(text: str) -> DeviceName:
    """Take a name apart: `NVIDIA A100-SXM4-80GB`, `a100_80g sxm` and `A100 SXM 80 GB` become one value.

    GB is 10^9 and GiB 2^30 bytes. A bare 40, 80, ... beside another word is read as GB (`a100-80`).
    """
    name = text.lower().strip()
    memory: float | None = None
    if found := _MEMORY.search(name.replace("_", " ")):
        memory = float(found[1]) * (2.0**30 if found[2] == "gib" else 1e9)
        name = _MEMORY.sub(" ", name.replace("_", " "))
    for pattern, form in _SPELLINGS:
        name = re.sub(pattern, form, name)
    parts = [word for word in name.split() if word not in _NOISE]
    bare = [word for word in parts if word in _BARE_MEMORY]
    if memory is None and len(bare) == 1 and len(parts) > 1:
        memory = float(bare[0]) * 1e9
        parts.remove(bare[0])
    return DeviceName(frozenset(parts), memory)
