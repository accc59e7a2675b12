"""From one document to many experiments: inheritance, matrices, stage chains and options.

Owns what levels and options do to each other; the nouns themselves are made in `plan.nouns`.
"""
