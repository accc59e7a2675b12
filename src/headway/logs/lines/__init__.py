"""What a training prints, as it comes: text to lines, lines to observations (`line_reader.py`), on one clock."""
