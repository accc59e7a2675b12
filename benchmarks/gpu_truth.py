"""Real training steps on the machine at hand, as rows in the columns of `data/throughput.csv`.

Owns the run: budget, order, rows, the description of the machine. What is run is `truth/`.
`python benchmarks/gpu_truth.py` lists the grid; `--budget SECONDS` runs as much of it as fits, and saves every row
when it is measured. Rows that the file already has are not measured again.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import gc
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from truth.points import SHAPES, TASKS, Point, Setup, fingerprint, points, setups

if TYPE_CHECKING:
    from truth.step import Measured

COLUMNS = (
    "id source source_path date_or_version task framework model params_b active_params_b n_layers hidden n_heads"
    " n_kv_heads ffn vocab gpu n_gpus n_nodes interconnect precision lora_rank seq_len micro_batch grad_accum"
    " global_batch parallelism act_ckpt flash_attn packing compile tokens_per_s tokens_per_s_per_gpu samples_per_s"
    " step_time_s tflops_per_gpu mfu peak_mem_gb total_time_s trust derived notes"
).split()


def parameters_b(setup: Setup) -> float:
    """Parameters of the shape in 10^9, adapters left out."""
    shape = setup.shape
    head = shape.hidden // shape.heads
    block = 2 * shape.hidden * (shape.hidden + shape.kv_heads * head) + 3 * shape.hidden * shape.ffn + 2 * shape.hidden
    tables = shape.vocab * shape.hidden * (1 if shape.tied else 2)
    return (shape.layers * block + tables + shape.hidden) / 1e9


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _driver() -> str:
    """Driver, power limit and clock as nvidia-smi prints them; empty where there is none."""
    asked = ["nvidia-smi", "--query-gpu=driver_version,power.limit,clocks.max.sm", "--format=csv,noheader"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.splitlines()[0].strip() if done.returncode == 0 and done.stdout else ""


def machine(device: Any) -> dict[str, str]:
    """What the rows say of the machine: GPU, software, and a sentence for the notes."""
    import torch

    from truth.models import has

    versions = [f"torch {torch.__version__}"]
    for name in ("transformers", "peft", "bitsandbytes", "flash_attn"):
        if has(name):
            versions.append(f"{name} {__import__(name).__version__}")
    cuda = device.type == "cuda"
    gpu = torch.cuda.get_device_name(device) if cuda else f"CPU {_cpu_name()}"
    about = [f"CPU {_cpu_name()}, {os.cpu_count()} cores", platform.system()]
    if cuda:
        memory = torch.cuda.get_device_properties(device).total_memory
        about = [f"{memory / 2**30:.1f} GiB", f"driver, limit, clock: {_driver() or 'unknown'}", *about]
    stack = "transformers" if has("transformers") else "plain PyTorch"
    return {
        "gpu": gpu,
        "software": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d} ({', '.join(versions)})",
        "framework": f"{stack} loop, AdamW",
        "about": "; ".join(about),
    }


def _asked(point: Point) -> dict[str, Any]:
    """Cells that say what was run."""
    setup, shape = point.setup, point.setup.shape
    return {
        "task": setup.task,
        "model": f"Llama-like {shape.name}",
        "params_b": f"{parameters_b(setup):.5g}",
        "n_layers": shape.layers,
        "hidden": shape.hidden,
        "n_heads": shape.heads,
        "n_kv_heads": shape.kv_heads,
        "ffn": shape.ffn,
        "vocab": shape.vocab,
        "n_gpus": 1,
        "n_nodes": 1,
        "lora_rank": setup.rank or "",
        "seq_len": point.length,
        "micro_batch": point.batch,
        "grad_accum": 1,
        "global_batch": point.batch,
        "parallelism": "single",
        "act_ckpt": "full" if setup.checkpointing else "none",
        "flash_attn": "yes",
        "packing": "yes",
        "compile": "yes" if setup.compile else "no",
    }


def _seen(point: Point, found: Measured) -> tuple[dict[str, Any], list[str]]:
    """Cells and remarks that say what was measured; an out-of-memory has neither speed nor peak."""
    if found.out_of_memory:
        return {}, ["OUT OF MEMORY"]
    rate = point.tokens / found.median_s
    cells: dict[str, Any] = {
        "tokens_per_s": f"{rate:.6g}",
        "tokens_per_s_per_gpu": f"{rate:.6g}",
        "samples_per_s": f"{point.batch / found.median_s:.6g}",
        "step_time_s": f"{found.median_s:.6g}",
        "derived": "tokens_per_s,samples_per_s",
    }
    remarks = [f"median of {len(found.seconds)} steps, deviation {100 * found.spread:.1f} %"]
    if found.peak_bytes is not None and found.reserved_bytes is not None:
        cells["peak_mem_gb"] = f"{found.peak_bytes / 2**30:.6g}"
        remarks.append(f"peak mem is torch max allocated, GiB ({found.reserved_bytes / 2**30:.4g} were held)")
    return cells, remarks


def row(point: Point, found: Measured, about: Mapping[str, str], dtype: str) -> dict[str, Any]:
    """One measured step as a row."""
    setup = point.setup
    cells, seen = _seen(point, found)
    notes = [about["about"], f"pure {dtype} weights, no fp32 master; random weights and tokens; AdamW"]
    if setup.rank:
        notes.append(f"targets {list(setup.targets)}; adapters fp32")
    if setup.attention == "sdpa":
        notes.append("attention: torch SDPA")
    return (
        dict.fromkeys(COLUMNS, "")
        | _asked(point)
        | {
            "id": f"truth-{fingerprint(point, about['gpu'])}",
            "source": f"headway gpu_truth: {about['gpu']}",
            "source_path": "benchmarks/gpu_truth.py",
            "date_or_version": about["software"],
            "framework": about["framework"],
            "gpu": about["gpu"],
            "precision": f"nf4-dq+{dtype}" if setup.task == "qlora" else dtype,
            "trust": "A",
            "notes": "; ".join([*notes, *seen]),
        }
        | cells
    )


class Rows:
    """The file of results: what it has, and how a row is added for good."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: set[str] = set()
        if path.exists() and path.stat().st_size:
            with path.open(encoding="utf-8", newline="") as handle:
                self.known = {found["id"] for found in csv.DictReader(handle)}
        else:
            path.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")

    def add(self, cells: Mapping[str, Any]) -> None:
        """Append one row; it is on disk when this returns."""
        with self.path.open("a", encoding="utf-8", newline="") as handle:
            csv.DictWriter(handle, COLUMNS, lineterminator="\n").writerow(cells)
            handle.flush()
            os.fsync(handle.fileno())


def run_setup(setup: Setup, device: Any, rows: Rows, about: Mapping[str, str], until: float) -> None:
    """Every point of one model; sizes beyond the first that does not fit are left out."""
    import torch

    from truth.models import dtype_of, make
    from truth.step import measure, optimizer_of

    wanted = [p for p in points(setup) if f"truth-{fingerprint(p, about['gpu'])}" not in rows.known]
    if not wanted:
        return
    dtype = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}[dtype_of(device)]
    model = optimizer = None
    try:
        model = make(setup, device)
        optimizer = optimizer_of(model, device)
        for point in wanted:
            if time.monotonic() > until:
                break
            found = measure(model, optimizer, point, device)
            rows.add(row(point, found, about, dtype))
            spent = "out of memory" if found.out_of_memory else f"{found.median_s * 1e3:.2f} ms"
            print(f"{describe(setup)} {point.batch} x {point.length}: {spent}", file=sys.stderr)
            if found.out_of_memory:
                break
    except torch.OutOfMemoryError:
        print(f"{describe(setup)}: the model alone does not fit", file=sys.stderr)
    except (RuntimeError, ImportError, ValueError) as error:  # a kernel that this machine lacks ends a setup, no more
        print(f"{describe(setup)}: {type(error).__name__}: {str(error).splitlines()[0][:200]}", file=sys.stderr)
    finally:
        del model, optimizer
        gc.collect()
        torch.compiler.reset()
        if device.type == "cuda":
            torch.cuda.empty_cache()


def describe(setup: Setup) -> str:
    """A setup in a line."""
    words = [setup.shape.name, setup.task, setup.attention]
    words += [f"r{setup.rank} on {len(setup.targets)}"] if setup.rank else []
    words += ["checkpointing"] * setup.checkpointing + ["compile"] * setup.compile
    return " ".join(words)


def main() -> None:
    """List the grid, or run it for as long as the budget allows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", type=float, help="seconds to measure; without it the grid is only listed")
    parser.add_argument("--out", type=Path, default=Path("gpu_truth.csv"), help="file that rows are added to")
    parser.add_argument("--shapes", default=",".join(name for name in SHAPES if name != "tiny"), help="which models")
    parser.add_argument("--tasks", default=",".join(TASKS), help="which tasks")
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile")
    options = parser.parse_args()
    shapes, tasks = options.shapes.split(","), options.tasks.split(",")
    if unknown := sorted({*shapes} - {*SHAPES} | {*tasks} - {*TASKS}):
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join([*SHAPES, *TASKS])}")
    if options.budget is None:
        grid = setups(shapes, attentions=("sdpa", "flash"), tasks=tasks)
        print(
            "\n".join(
                f"{describe(setup)}: {', '.join(f'{p.batch}x{p.length}' for p in points(setup))}" for setup in grid
            )
        )
        return
    try:
        import torch
    except ImportError:
        sys.exit("gpu_truth: torch is not installed; pip install 'headway[train]'")
    from truth.models import has, possible

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    attentions = ("sdpa", "flash") if device.type == "cuda" and has("flash_attn") and has("transformers") else ("sdpa",)
    until = time.monotonic() + options.budget
    about, rows = machine(device), Rows(options.out)
    for setup in setups(shapes, attentions=attentions, tasks=[task for task in tasks if possible(task)]):
        if time.monotonic() > until:
            break
        if not (setup.compile and options.no_compile):
            run_setup(setup, device, rows, about, until)


if __name__ == "__main__":
    main()
