"""What was promised against what is: estimates and formulas held against counts and measurements.

Owns the verdicts. The promises and the counts are made in other rooms.
"""
