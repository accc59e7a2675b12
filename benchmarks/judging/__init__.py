"""Judging a predictor on published rows: who may learn from which rows, what is predicted, and how it is scored.

Owns folds, scores, baselines and peers. Reading rows is `rows.py` and `reading/`; the page is `accuracy.py`.
"""
