"""The plan language as data: every key, what it may hold, where it may stand, and what is said about it.

Owns the tables (`keys`, `claims`, `foreign`) and what is made from them: validation, the JSON Schema and the table of
keys for the documentation. What values mean is `plan.reading.values`; what levels do to each other is `plan.expansion`.
"""
