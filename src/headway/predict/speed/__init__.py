"""Step time from what was learnt of measured steps: physics with stack effects, neighbours, intervals by evidence.

Owns predicting with a fit. Learning is `predict.learning`; the roofline of assumed constants is `predict.step_time`.
"""
