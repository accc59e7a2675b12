"""The jobs of `benchmarks/pilot.py`: ten long ones and thirty short ones, each a plan of one experiment.

Owns what is trained. Lengths, accumulation, evaluation, saves, adapters and checkpointing vary; models are a Llama of
4 blocks x 128 and one of the shape of SmolLM2-135M, both from random weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TINY = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 1024, "hidden_size": 128,
    "intermediate_size": 384, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 4,
    "max_position_embeddings": 2048, "tie_word_embeddings": False,
}  # fmt: skip
LARGE = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 49152, "hidden_size": 576,
    "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
    "max_position_embeddings": 2048, "tie_word_embeddings": True,
}  # fmt: skip
"""SmolLM2-135M's config.json (HuggingFaceTB/SmolLM2-135M, Apache-2.0), as far as it decides shapes."""
MODELS: Mapping[str, Mapping[str, Any]] = {"tiny": TINY, "large": LARGE}
LONG_S = 340.0
SHORT_S = 45.0
"""Aimed at, so that a long one takes five minutes also where it is an eighth faster than promised."""
LONG_PILOT_S = 57.0
SHORT_PILOT_S = 20.0
"""Budget of a probe in seconds; with the start of its process, and the step in which the budget ends, a long job's is
under a minute: 58 s made one of 60.1."""

ROWS, ROWS_FILE = 5000, "rows.jsonl"

VARIED = {"mean": 90, "min": 16, "max": 256}
SKEWED = {"mean": 60, "min": 8, "max": 512}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training run, but for its number of steps, which the wanted length decides."""

    name: str
    long: bool
    model: str = "tiny"
    rank: int = 0
    """Of the adapters; 0: all weights are trained."""
    length: int | Mapping[str, int] = 128
    micro_batch: int = 8
    grad_accum: int = 1
    checkpointing: bool = False
    evaluate_every: int = 0
    evaluate_rows: int = 64
    save_every: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def wanted_s(self) -> float:
        """Length of the run that is aimed at."""
        return LONG_S if self.long else SHORT_S

    @property
    def pilot_s(self) -> float:
        """What the probe may take."""
        return LONG_PILOT_S if self.long else SHORT_PILOT_S

    def plan(self, steps: int) -> dict[str, Any]:
        """The plan file of the job with so many steps, beside the model's folder."""
        made: dict[str, Any] = {
            "headway": 1,
            "name": self.name,
            "model": f"./{self.model}",
            "precision": "fp32",
            "datasets": {"rows": {"from": ROWS_FILE, "rows": ROWS, "length": self.length}},
            "data": "rows",
            "micro_batch": self.micro_batch,
            "grad_accum": self.grad_accum,
            "max_length": 512,
            "steps": steps,
            "run": {"machine": {"gpu": "cpu"}},
        }
        if self.rank:
            made["adapter"] = {"rank": self.rank}
        if self.checkpointing:
            made["gradient_checkpointing"] = "full"
        if self.save_every:
            made["save"] = {"every": f"{self.save_every} steps", "keep": 2}
        if self.evaluate_every:
            held_out = {"rows": self.evaluate_rows, "length": self.length, "split": "test"}
            made["datasets"]["held-out"] = held_out
            made["tasks"] = {"held-out": {"data": "held-out"}}
            made["evaluate"] = {"tasks": "held-out", "every": f"{self.evaluate_every} steps"}
        return made | dict(self.extra)


LONG = (
    Job(name="full", long=True),
    Job(name="lora-varied", long=True, rank=8, length=VARIED),
    Job(name="full-accumulated-varied", long=True, length=VARIED, micro_batch=4, grad_accum=4),
    Job(name="full-evaluated", long=True, length=VARIED, evaluate_every=200, evaluate_rows=256),
    Job(name="lora-saved", long=True, rank=8, save_every=250),
    Job(name="full-checkpointed-all", long=True, length=SKEWED, checkpointing=True, evaluate_every=300, save_every=300),
    Job(name="full-long-rows", long=True, length=512, micro_batch=2, save_every=400),
    Job(name="large-lora", long=True, model="large", rank=8, length=64, micro_batch=2),
    Job(name="large-lora-accumulated", long=True, model="large", rank=8, length={"mean": 48, "min": 16, "max": 128},
        micro_batch=2, grad_accum=2, evaluate_every=40, evaluate_rows=16, save_every=60),
    Job(name="large-full", long=True, model="large", length=64, micro_batch=1, save_every=100),
)  # fmt: skip


def _short() -> tuple[Job, ...]:
    """Thirty jobs of the tiny model: every combination of adapters, rows and batches once or twice."""
    lengths: tuple[int | Mapping[str, int], ...] = (64, 128, 256, VARIED, SKEWED)
    batches = ((8, 1), (2, 4), (16, 1))
    made = []
    for index in range(30):
        length, (micro_batch, grad_accum) = lengths[index % 5], batches[index % 3]
        made.append(
            Job(
                name=f"short-{index:02}",
                long=False,
                rank=8 if index // 5 % 2 else 0,
                length=length,
                micro_batch=micro_batch,
                grad_accum=grad_accum,
                checkpointing=index % 7 == 3,
                evaluate_every=40 if index % 4 == 1 else 0,
                save_every=50 if index % 4 == 2 else 0,
            )
        )
    return tuple(made)


SHORT = _short()
JOBS: Mapping[str, Job] = {job.name: job for job in (*LONG, *SHORT)}
