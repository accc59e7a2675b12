"""What of a tracked run lies on the disk: its events and its record, and the promise that it is held against."""
