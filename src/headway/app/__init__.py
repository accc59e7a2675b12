"""The verbs, one file each: the only place that wires rooms together and knows the clock."""
