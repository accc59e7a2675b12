"""Step time learnt from measurements: physics with stack effects, a residual of neighbours, intervals by evidence.

Owns the fitted predictor; the roofline of assumed constants is `predict.step_time`, memory is `predict.memory`.
"""
