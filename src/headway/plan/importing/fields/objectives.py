"""What a training objective costs beside supervised fine-tuning: rows a sample, passes without gradients, generation.

Owns the counts, with their sources, and the names that tools give the objectives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What one sample of the data means to the machine."""

    rows: int = 1
    """Rows that are trained on: a preference pair is two, chosen and rejected."""
    forward_passes: int = 0
    """Passes without gradients over every row, of models as large as the trained one."""
    generates: bool = False
    says: str = ""
    """The count in a sentence; empty where there is nothing to say."""
    frozen: str = ""
    """Models that are held beside the trained one where all weights are trained."""


_PAIR = "a pair is two rows, chosen and rejected"
_PAIRED = Objective(rows=2, says=_PAIR)
_REFERRED = Objective(
    rows=2, forward_passes=1, says=f"{_PAIR}; the reference model passes over them once", frozen="the reference model"
)
_ONLINE = Objective(generates=True, says="completions are generated, then trained on")
OBJECTIVES: Final = {
    "pt": Objective(),
    "sft": Objective(),
    "seq_cls": Objective(),
    "prm": Objective(),
    "dpo": _REFERRED,  # Rafailov et al. 2023, arXiv:2305.18290, eq. 7
    "ipo": _REFERRED,
    "orpo": _PAIRED,  # Hong et al. 2024, arXiv:2403.07691: no reference model
    "simpo": _PAIRED,  # Meng et al. 2024, arXiv:2405.14734: no reference model
    "cpo": _PAIRED,
    "rm": _PAIRED,  # Bradley-Terry over chosen and rejected
    # policy and reference pass over each row, and both over a mismatched one for the KL term: trl, kto_trainer.py
    "kto": Objective(
        forward_passes=3,
        says="beside each training pass three without gradients: the reference model's, and both models' for the KL "
        "term",
        frozen="the reference model",
    ),
    "bco": Objective(
        forward_passes=1, says="the reference model passes over each row once", frozen="the reference model"
    ),
    "gkd": Objective(forward_passes=1, says="the teacher passes over each row once, counted as large as the student"),
    "grpo": _ONLINE,
    # reference, reward, old policy and old value once each; the value model's training is as much as three forwards
    "ppo": Objective(
        forward_passes=7,
        generates=True,
        says="completions are generated, then trained on; reference, reward, old policy and old value models pass over "
        "them once each, and training the value model counts as three more forward passes",
        frozen="the reference, reward and value models",
    ),
}
_OTHERWISE: Final = {
    "pretrain": "pt", "cpt": "pt", "reward": "rm", "reward_model": "rm", "kto_pair": "dpo", "apo": "dpo", "rpo": "dpo",
    "gdpo": "grpo", "ebft": "grpo", "dapo": "grpo", "gspo": "grpo", "rloo": "grpo", "reinforce": "grpo",
    "online_dpo": "grpo", "nash_md": "grpo", "xpo": "grpo", "opd": "gkd", "distill": "gkd", "papo": "grpo",
}  # fmt: skip
"""Names of variants -> the objective that they cost like."""


def objective_of(word: str) -> str:
    """The objective that a tool's word means; empty for one that is unknown."""
    plain = word.strip().lower().replace("-", "_")
    plain = _OTHERWISE.get(plain, plain)
    return plain if plain in OBJECTIVES else ""
