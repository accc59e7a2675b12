"""Text to the forms it may be in: trees of YAML and JSON, commands of scripts, tables of documents, with their places.

Owns no meaning of any key.
"""
