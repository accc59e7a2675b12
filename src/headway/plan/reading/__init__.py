"""From bytes to values: YAML with places, expressions, quantities and the few forms of their own.

Owns what is written; what a key may hold is `plan.language`, what keys make together is `plan.nouns`.
"""
