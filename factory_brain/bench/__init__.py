"""Loads of `andon bench ingest` and `andon bench playbooks`, on real servers.

Called by `factory_brain/bench_ingest.py` and `factory_brain/bench_playbooks.py` only;
each starts its own servers in a folder of its own.
"""
