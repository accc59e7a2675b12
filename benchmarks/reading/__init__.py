"""How a row of published measurements becomes the nouns of headway: model, recipe, machine, batches.

Owns the reading of cells and notes, and every choice that a row leaves open. Which rows are usable is `rows.py`.
"""
