"""What is wrong, doubtful or missing in a plan, and what was promised against what is.

Owns the rules with codes and how they are run, chosen and fixed; and formulas held against counts of the real model.
Numbers come from the rooms below; pages are `report/`.
"""
