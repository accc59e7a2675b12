"""Architecture + recipe + batches -> work: FLOP, bytes, launches, messages and memory, as named terms.

Owns the counting, exact wherever it can be. Does not own time (`predict/` turns work into seconds on a device), nor
the facts about models and devices (`catalog/`).
"""
