"""Bytes of the tensors -> the peak that an observer sees: the fitted correction and its interval.

Owns using what is learnt. Tensors are `work.memory`; learning is `predict.learning`.
"""
