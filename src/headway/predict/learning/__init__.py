"""Measurements -> the fitted predictor of `predict.speed`: physics, stacks, neighbours, intervals; and its record.

Owns learning. What is learnt, and predicting with it, is `predict.speed`.
"""
