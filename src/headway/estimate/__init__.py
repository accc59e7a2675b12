"""Hours of a plan with their doubt: which rates count, how terms add up, what a budget affords.

Owns estimates. Seconds of one step are `predict/`, money is `cost/`.
"""
