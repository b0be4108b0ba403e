"""The nodes of the made-up plant of `andon bench playbooks`: one edge, one brain.

Apart, so that the edge's process starts without the playbook language.
"""

from __future__ import annotations

from shared.messages.subjects import Node

EDGE = Node("f1", "e1")
BRAIN = Node("f1", "brain")
