"""The time line of everything, across process steps."""
