"""How a file of another tool is read: text to trees, fields taken with their places, fields to a plan.

Owns what all importers share; what a tool calls things and takes by default is its own file in `plan/importers/`.
"""
