"""Computed sources: children that take samples of tags and give samples of other tags."""
