"""Promised against measured: a run beside its promise, why it differs, how promises are kept, what is learnt."""
