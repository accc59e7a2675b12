"""Predictions for imported runs: with the doubt about a shape that is assumed, and with an engine that decodes.

Owns how wide that doubt is, and what of decoding an inference engine does without.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np

from headway.domain.calibration import draw_range
from headway.domain.lookup import Machine
from headway.domain.plan import Stage
from headway.domain.spread import Draws, Spread
from headway.domain.units import Range
from headway.estimate.nouns import Basis
from headway.estimate.predicted import Predictor
from headway.estimate.resolve import Job
from headway.predict.fits import said

SHAPE_TIME = Range(0.75, 1.0, 1.35)
"""Step time of a model of known size and unknown shape, over that of the assumed shape.

The 162 dense decoders of the catalog from 0.3 billion parameters on, each left out and sized from the others by its
exact size (full and LoRA, 512 and 2,048 tokens, A100): p10-p90 is 0.82-1.20. Names round a size by up to 10 %, and
vision towers and state-space layers cannot be described at all.
"""
SHAPE_MEMORY = Range(0.8, 1.0, 1.2)
"""The same for memory, where those decoders have 0.86-1.07."""


_HOST = ("launch_s.huggingface", "micro_step_s.huggingface", "launch_s", "micro_step_s")
"""Constants of the time in which a GPU waits for Python."""


@dataclass(frozen=True, slots=True)
class Doubtful(Predictor):
    """Predictions whose steps and memory are drawn wider for the models in `models`.

    `served`: completions are decoded by an inference engine, whose captured graphs need no host between kernels.
    """

    models: frozenset[str] = frozenset()
    served: bool = False

    def _generation(self, stage: Stage, machine: Machine) -> Spread:
        setting = self.setting
        if self.served:
            setting = replace(setting, constants={**setting.constants, **dict.fromkeys(_HOST, np.zeros(setting.draws))})
        found = Predictor._generation(Predictor(setting), stage, machine)
        assumed = stage.model is not None and stage.model.use in self.models
        return _times(found, self._factor("time", SHAPE_TIME)) if assumed else found

    def basis(self, job: Job) -> Basis:
        """Step time, memory and utilisation of a job, each with the doubt about the model's shape."""
        found = Predictor.basis(self, job)
        if found.model not in self.models:
            return found
        time, size = self._factor("time", SHAPE_TIME), self._factor("memory", SHAPE_MEMORY)
        peak = _times(found.peak_memory_bytes, size)
        fits = float(np.mean(peak.drawn(len(size)) <= found.usable_memory_bytes.drawn(len(size))))
        return replace(
            found,
            step_s=_times(found.step_s, time),
            step_terms_s={name: _times(spread, time) for name, spread in found.step_terms_s.items()},
            utilisation=_times(found.utilisation, 1 / time),
            memory_terms_bytes={name: _times(spread, size) for name, spread in found.memory_terms_bytes.items()},
            peak_memory_bytes=peak,
            fits_probability=fits,
            fits=said(fits),
        )

    def _factor(self, name: str, doubt: Range) -> Draws:
        """Draws of a doubt, the same for all jobs: one model's shape is wrong once."""
        rng = np.random.default_rng((self.setting.seed, crc32(f"shape {name}".encode())))
        return draw_range(doubt, rng, self.setting.draws)


def _times(spread: Spread, factor: Draws) -> Spread:
    return Spread.from_draws(spread.drawn(len(factor)) * factor, spread.kind, spread.source)
