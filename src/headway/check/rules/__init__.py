"""Rules, one file for each kind of mistake. Which there are, by code, is `check/registry.py`.

Owns nothing itself: a file can be imported alone, so that `estimate` loads the few rules that it runs.
"""
