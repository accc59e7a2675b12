"""What runs on a machine with the training libraries, as programs: `python -m headway.worker.PROGRAM`.

Owns everything that imports torch. Imports `domain` alone, so that the room can be copied to a bare node; the rest of
headway starts a program and reads the JSON lines that it prints.
"""
