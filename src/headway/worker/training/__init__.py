"""The real thing: model, rows, steps, evaluations and saves of a task, on the device at hand."""
