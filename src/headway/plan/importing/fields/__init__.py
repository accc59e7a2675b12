"""Fields of a run taken from a tree, in the words that many tools share: trainers, sharding, objectives, adapters.

Owns the meanings; defaults that are one tool's own stand in its importer.
"""
