"""Runs inside the environment of llm-analysis 0.2.2: jobs as JSON on stdin, seconds of a step by id on stdout.

Called through its own `train` with a model file per shape, its GPU table, and a FLOP efficiency of 0.5, which its
constants name as usual for training. It counts LoRA as full training. Its assertions (what does not fit, what does
not divide) are no answers.
"""

import contextlib
import io
import json
import logging
import sys
import tempfile
from pathlib import Path

logging.disable(logging.CRITICAL)
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    from llm_analysis.analysis import train

EFFICIENCY = 0.5
GPUS = {
    "A100 SXM 80GB": "a100-sxm-80gb", "A100 PCIe 80GB": "a100-pcie-80gb", "A100 SXM 40GB": "a100-sxm-40gb",
    "A100 PCIe 40GB": "a100-pcie-40gb", "H100 SXM 80GB": "h100-sxm-80gb", "H100 PCIe 80GB": "h100-pcie-80gb",
    "A10G": "a10g-pcie-24gb", "RTX A6000": "a6000-48gb", "MI100": "mi100-32gb", "MI210": "mi210-64gb",
    "MI250": "mi250-128gb", "V100 PCIe 16GB": "v100-pcie-16gb", "V100 PCIe 32GB": "v100-pcie-32gb",
    "V100 SXM2 16GB": "v100-sxm-16gb", "V100 SXM2 32GB": "v100-sxm-32gb",
}  # fmt: skip
ZERO = {"none": 0, "zero1": 1, "zero2": 2, "zero3": 3}
RECOMPUTATION = {"none": 0, "selective": 1, "full": 2}


def seconds(job, folder):
    """Seconds of one optimizer step, or None."""
    if job["gpu"] not in GPUS or job["precision"] not in ("bf16", "fp16") or job["experts"]:
        return None
    shape = [job[key] for key in ("layers", "hidden", "heads", "kv_heads", "ffn", "vocab", "gated")]
    name = "-".join(map(str, shape))
    file = folder / f"{name}.json"
    # its two-matrix feed-forward stands for three of a gated one at 3/2 of the width
    width = job["ffn"] * 3 // 2 if job["gated"] else job["ffn"]
    config = {
        "name": name,
        "num_layers": job["layers"],
        "n_head": job["heads"],
        "hidden_dim": job["hidden"],
        "vocab_size": job["vocab"],
        "max_seq_len": 10**6,
        "num_key_value_heads": job["kv_heads"],
        "ffn_embed_dim": width,
        "expansion_ratio": width / job["hidden"],
    }
    file.write_text(json.dumps(config))
    try:
        found = train(
            model_name=str(file),
            gpu_name=GPUS[job["gpu"]],
            dtype_name="w4a16e16" if job["quantize"] == "nf4" else "w16a16e16",
            log_level="CRITICAL",
            batch_size_per_gpu=job["micro_batch"],
            gradient_accumulation_steps=job["grad_accum"],
            seq_len=round(job["row_tokens"]),
            activation_recomputation=RECOMPUTATION[job["checkpointing"]],
            ds_zero=ZERO[job["sharding"]],
            tp_size=job["tensor"],
            pp_size=job["pipeline"],
            total_num_gpus=job["gpus"],
            flash_attn=job["flash"],
            flops_efficiency=EFFICIENCY,
        )
    except (AssertionError, ValueError, ZeroDivisionError, TypeError):
        return None
    return found.get("latency_per_iter")


with tempfile.TemporaryDirectory() as made, contextlib.redirect_stdout(io.StringIO()):
    answers = {job["id"]: seconds(job, Path(made)) for job in json.load(sys.stdin)}
print(json.dumps(answers))
