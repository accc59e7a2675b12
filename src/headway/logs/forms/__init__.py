"""Forms of printed lines: one line, or one block of them, to what it tells of a step or an evaluation (`line.py`)."""
