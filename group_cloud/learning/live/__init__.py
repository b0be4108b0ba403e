"""The threshold optimiser on what running factories have counted."""
