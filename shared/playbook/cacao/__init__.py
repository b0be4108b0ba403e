"""Playbooks in the words of OASIS CACAO v2: written out as its JSON, and read back as a draft.

`export.py` and `reading.py` are the two ways in; called by the command line. Opens no socket.
"""
