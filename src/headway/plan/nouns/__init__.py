"""Nodes of a plan file to the nouns of `headway.domain.plan`, one file for each family of nouns.

Owns the building only: which keys exist is `plan.language`, what values mean is `plan.reading.values`, how levels and
matrices make experiments is `plan.expansion`.
"""
