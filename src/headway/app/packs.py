"""Measurements that people share: written without names, read where nothing of one's own is known."""
