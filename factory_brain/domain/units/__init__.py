"""Product units and batches: where they were, and when."""
