"""Work on a machine -> seconds and bytes, as named terms: step time, passes without training, memory, does it fit.

Owns the formulas. Every constant in them comes in from `domain.calibration` (a number or draws of it), so that the
same function gives a point or a sample. Does not own counting work (`work/`), facts about devices (`catalog/`), nor
what surrounds a step (`estimate/`).
"""
