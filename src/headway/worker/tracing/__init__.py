"""One training step on tensors without data, counted."""
