"""Loads of `andon bench ingest`: the event store and the brain's web side, on real servers.

Called by `factory_brain/bench_ingest.py` only; starts its own servers in a folder of its own.
"""
