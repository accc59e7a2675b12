"""What an author says of a plan, against what follows from the plan and the author's own rates.

Owns the reading of claims: their precision, what they are about, what they should say. Rules compare.
"""
