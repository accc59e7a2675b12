"""`python -m headway.worker.trace CONFIG`: FLOP and tensors of one training step of the real model, without weights.

Owns the program: what it is asked and the JSON line that it prints (`headway.trace/1`). Exit code 1 where the model
cannot be traced or a library is missing, 2 for words that it does not understand.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headway.domain.errors import UsageError, UserError

LIBRARIES = ("torch", "transformers", "peft")
INSTALL = "pip install 'headway[train]'"
OK, ERROR, USAGE = 0, 1, 2


def parser() -> argparse.ArgumentParser:
    """The words of the program."""
    found = argparse.ArgumentParser(prog="python -m headway.worker.trace", description=(__doc__ or "").splitlines()[0])
    found.add_argument("config", help="a model's config.json, the folder that holds it, or - for standard input")
    found.add_argument("--head", choices=("lm", "mlm", "seq2seq", "none"), help="default: what the config names")
    found.add_argument("--batch", type=_positive, default=1, metavar="ROWS")
    found.add_argument("--seq", type=_positive, default=512, metavar="TOKENS", help="in every row")
    found.add_argument("--dtype", choices=("bf16", "fp16", "fp32"), default="bf16")
    found.add_argument("--attention", choices=("sdpa", "eager"), default="sdpa")
    found.add_argument("--checkpointing", choices=("none", "full"), default="none")
    found.add_argument("--rank", type=_positive, default=0, metavar="R", help="of LoRA; without it all is trained")
    found.add_argument("--targets", nargs="+", default=["all-linear"], metavar="NAME", help="layers that LoRA adapts")
    return found


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number from 1 on is needed, got {text!r}")
    return int(text)


def read_config(place: str) -> Mapping[str, Any]:
    """The parsed `config.json` at a path, in a folder, or on standard input. Raises UserError where there is none."""
    path = Path(place)
    path = path / "config.json" if path.is_dir() else path
    try:
        found = json.loads(sys.stdin.read() if place == "-" else path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError("a model's config.json must be readable", got=f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise UsageError("a model's config.json must be JSON", got=str(path)) from None
    if not isinstance(found, dict):
        raise UsageError("a model's config.json must be an object", got=str(path))
    return found


def require(names: Sequence[str] = LIBRARIES) -> None:
    """Raises UserError that names the libraries which are not installed."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError("the training libraries are needed", got=f"no {', no '.join(missing)}", hint=INSTALL)


def answer(words: Sequence[str]) -> dict[str, Any]:
    """The document `headway.trace/1` for the words of a command line. Raises UserError; SystemExit from argparse."""
    given = vars(parser().parse_args(words))
    config = read_config(given.pop("config"))
    require()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when transformers is imported
    try:
        from headway.worker.tracing.step import trace
        from headway.worker.training.models import Setup, head_of
    except ImportError as error:
        raise UserError("newer training libraries are needed", got=str(error), hint=f"{INSTALL} -U") from None

    head = given.pop("head") or head_of(config)
    return trace(Setup(config=config, head=head, targets=tuple(given.pop("targets")), **given))


def main() -> int:
    """Print one line: the document on standard output, or on standard error what is wrong."""
    try:
        document = answer(sys.argv[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a program's own stream
        return USAGE if isinstance(error, UsageError) else ERROR
    except Exception as error:  # a library's own, on a config that nobody thought of
        words = " ".join(str(error).split())[:300]
        print(f"error: the model could not be traced: {type(error).__name__}: {words}", file=sys.stderr)  # noqa: T201
        return ERROR
    print(json.dumps(document))  # noqa: T201
    return OK


if __name__ == "__main__":
    raise SystemExit(main())
