"""Results as pages: views (every number and sentence as plain data), then renderers.

Owns words, tables and the JSON contract. Figures come from the rooms below; nothing is computed here that they own.
"""
