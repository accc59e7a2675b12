"""The logs of other tools (and our own) as observations: one file a format, recognised by name and first bytes.

Owns the list of formats, which are `formats/`. `read.py` picks one, `repair.py` has the laws that all are brought
under, `text.py` what bytes become lines. Observations and logs as nouns are `domain.observation`.
"""

from collections.abc import Mapping
from typing import Final

from headway.logs.formats import (
    all_results,
    axolotl,
    console,
    headway,
    lightning_csv,
    mlflow,
    nvidia_smi,
    sacct,
    tfevents,
    torchtune,
    trainer_log,
    trainer_state,
    ultralytics,
    wandb_csv,
    wandb_offline,
)
from headway.logs.reader import Reader

READERS: Final[Mapping[str, Reader]] = {
    headway.NAME: headway,
    trainer_state.NAME: trainer_state,
    trainer_log.NAME: trainer_log,
    all_results.NAME: all_results,
    torchtune.NAME: torchtune,
    axolotl.NAME: axolotl,
    console.NAME: console,
    tfevents.NAME: tfevents,
    wandb_offline.NAME: wandb_offline,
    wandb_csv.NAME: wandb_csv,
    mlflow.NAME: mlflow,
    lightning_csv.NAME: lightning_csv,
    ultralytics.NAME: ultralytics,
    nvidia_smi.NAME: nvidia_smi,
    sacct.NAME: sacct,
}
"""Every format by its name; a format that is not here does not exist."""
