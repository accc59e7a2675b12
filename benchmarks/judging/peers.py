"""Peers on the same rows: each in an environment of its own, run as published.

Owns which peers, which versions, and what a row is to them. How each is called is `peer_programs/`, which run inside
those environments and import nothing of headway. A peer that cannot express a row gives no answer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from headway.domain.errors import UserError
from headway.work.parameters import count_parameters
from judging.prediction import Prediction, Predictor
from rows import Case

PEERS = {"ftuneai": "0.4.1", "llm-analysis": "0.2.2", "train-in-silence": "0.1.6"}
"""Name on PyPI and version; the newest of 2026-11-21. None of them gives an interval."""
_PROGRAMS = Path(__file__).parents[1] / "peer_programs"


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headway-bench"


def _python(name: str) -> Path:
    """The interpreter of a peer's environment, which is made when it is first asked for."""
    home = _cache() / f"{name}-{PEERS[name]}"
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        print(f"installing {name} {PEERS[name]} into {home}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        asked = [str(python), "-m", "pip", "install", "--quiet", f"{name}=={PEERS[name]}"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError("a peer must be installable", got=f"{name}: {done.stderr.strip()[-300:]}")
        (home / "ready").touch()
    return python


def _job(case: Case) -> dict[str, Any]:
    """A row in plain words; whatever a peer asks for is among them."""
    arch, recipe, parallel = case.architecture, case.recipe, case.recipe.parallel
    parameters = count_parameters(arch)
    return {
        "id": case.id,
        "model": arch.name,
        "family": arch.family,
        "parameters": parameters.total,
        "layers": arch.layers,
        "hidden": arch.hidden,
        "heads": arch.heads,
        "kv_heads": arch.kv_heads,
        "ffn": arch.ffn,
        "gated": arch.gated,
        "vocab": arch.vocab,
        "experts": arch.experts,
        "active_experts": arch.experts_per_token,
        "gpu": case.node.device.name,
        "gpus": case.node.total_gpus,
        "data": parallel.data,
        "tensor": parallel.tensor,
        "pipeline": parallel.pipeline,
        "sharding": parallel.sharding,
        "precision": recipe.precision,
        "quantize": recipe.quantize,
        "rank": recipe.adapter.rank if recipe.adapter else 0,
        "checkpointing": recipe.gradient_checkpointing,
        "flash": recipe.attention != "eager",
        "micro_batch": recipe.micro_batch,
        "grad_accum": recipe.grad_accum,
        "rows": case.batches.rows_per_step,
        "row_tokens": case.batches.row_tokens,
        "tokens": case.tokens,
    }


def _answers(name: str, cases: Sequence[Case]) -> dict[str, float]:
    """Seconds of a step by row, as the peer says; rows that it cannot express are absent."""
    program = _PROGRAMS / f"{name.replace('-', '_')}_answers.py"
    jobs = json.dumps([_job(case) for case in cases])
    done = subprocess.run([_python(name), program], input=jobs, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError("a peer's program must end well", got=f"{name}: {done.stderr.strip()[-300:]}")
    found: dict[str, float | None] = json.loads(done.stdout.splitlines()[-1])
    return {row: seconds for row, seconds in found.items() if seconds}


def peer(name: str, cases: Sequence[Case]) -> Callable[..., Predictor]:
    """A maker of predictors that learn nothing: the peer's answers to all rows, asked once."""
    answers = _answers(name, cases)

    def make(training: Sequence[Case] | None, own: Sequence[Case] = ()) -> Predictor:
        del training, own

        def answer(case: Case) -> Prediction | None:
            seconds = answers.get(case.id)
            return None if seconds is None else Prediction(p10=seconds, p50=seconds, p90=seconds, tier=name)

        return answer

    return make
