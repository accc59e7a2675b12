"""What is wrong, doubtful or missing in a plan: rules with codes, over the plan, its estimates and its claims.

Owns the rules and how they are run, chosen and fixed. Numbers come from the rooms below; the page is `report/`.
"""
