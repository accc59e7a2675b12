"""Lines that a training prints, to observations: one kind of line a file, and the reader that takes them as they come.

Owns text that is printed for people; files with a format of their own are `formats/`.
"""
