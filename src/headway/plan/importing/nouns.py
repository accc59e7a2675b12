"""What an importer is given and what it makes: a source file as a tree, and the plan read from it with its provenance.

Owns the nouns only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from headway.domain.errors import Position
from headway.plan.reading.yaml import Map, Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file of another tool, as far as its form tells: a tree of keys, wherever they stood."""

    name: str
    """The file, for messages."""
    folder: str = ""
    """Where its relative paths start; empty where it is no file."""
    form: str = "yaml"
    """`yaml`, `json`, `command` (the flags of a shell line are the keys) or `markdown`."""
    tree: Map = field(default_factory=Map)
    program: str = ""
    """Of a command: what runs (`swift rlhf`, `trl dpo`, `train.py`)."""
    gpus: Text | None = None
    """Of a command: GPUs that its launcher and environment give it, where they say."""
    times: int = 1
    """Of a command: how often the loops around it run it."""
    processes: bool = False
    """Of a command: whether a number of processes is said (`NPROC_PER_NODE`, `torchrun --nproc_per_node`)."""
    launcher: Map = field(default_factory=Map)
    """Of a command: the launcher's own flags (`accelerate launch --config_file ...`)."""
    tables: tuple[Grid, ...] = ()
    """Of a Markdown document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table of a Markdown document: the headings it stands under, its column names, its cells."""

    headings: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[Text, ...], ...]
    where: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A field of the run that the file says."""

    field: str
    value: str
    key: str
    """What the file calls it."""
    where: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Default:
    """A field of the run that the file leaves to its tool, and what the tool takes."""

    field: str
    value: str
    source: str
    """Where the tool documents it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRead:
    """A key that was not used."""

    key: str
    where: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Something an estimate needs and the file does not say."""

    key: str
    """What `--assume` calls it."""
    why: str
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A run of another tool's configuration, as a plan, with where each part of it comes from."""

    format: str
    guess: str
    """Why the file is taken for one of that tool."""
    plan: Map
    """In headway's own plan language; places are those of the original file."""
    read: tuple[Read, ...] = ()
    absent: tuple[Default, ...] = ()
    not_read: tuple[NotRead, ...] = ()
    asks: tuple[Ask, ...] = ()
    notes: tuple[str, ...] = ()
    """What was read with a simplification, in sentences."""
    model: str = ""
    parameters: float | None = None
    """Size of the model, where the file or `--assume params` gives it; a shape is assumed for it."""
    shape: Mapping[str, str] = field(default_factory=dict)
    """A model that the file writes out, in the keys of a `config.json`; empty where it only names one."""
    trained_blocks: int | None = None
    """Blocks that are trained, counted from the end, where the others are frozen; below 0: from the start."""
    served: bool = False
    """Completions come from an inference engine (vLLM), which decodes without the host's time between kernels."""
    dataset: str = ""
    """The dataset's name, where one dataset is read whole."""
    name: str = ""
    """The file, for messages."""
    folder: str = ""

    @property
    def summary(self) -> str:
        """The guess in one line."""
        return f"read as {self.format}: {self.guess}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Importer:
    """One tool's configuration: how it is recognised, and how its fields are taken."""

    title: str
    """What people call the format."""
    forms: frozenset[str]
    """Forms of source that it reads."""
    recognises: Callable[[Source], str]
    """Why this source is of that tool; empty where it is not."""
    read: Callable[[Source, Mapping[str, str]], Imported]
    """Makes the plan, completed with what is given. Raises PlanError for a file of the tool that trains nothing."""
