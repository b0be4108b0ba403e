"""Who sounds: the edge, unless the brain holds a short lease on its own account.

Pure; times are the edge's monotonic milliseconds. A lost lease hands the horn down by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.messages.control import LeaseAck, LeaseGrant

MAX_TTL_MS = 60_000


@dataclass(slots=True)
class Annunciation:
    """The annunciation lease of this edge."""

    holder: str = ""
    until: int = 0
    ever: bool = False
    released: str = ""
    """The holder's newest release; its ids are ordered by time, an older grant is void."""
    released_at: int = 0
    boot: str = ""
    """This edge's boot id; a grant counted from another boot's clock is void."""

    def grant(self, lease: LeaseGrant, now: int) -> LeaseAck:
        """Take, renew or end a lease."""
        if lease.released:
            if lease.holder == self.holder:
                self.until, self.released = 0, max(self.released, lease.id)
                self.released_at = now
            return LeaseAck(id=lease.id, accepted=True)
        if not 0 < lease.ttl_ms <= MAX_TTL_MS:
            return LeaseAck(id=lease.id, accepted=False, code="ttl_out_of_range")
        recent = now < self.released_at + lease.ttl_ms
        if lease.holder == self.holder and lease.id <= self.released and recent:
            # Under way since before it was given back: nobody up there would sound. No longer than
            # its time, though: the clock up there may have been set back.
            return LeaseAck(id=lease.id, accepted=False, code="superseded")
        if self.holder != lease.holder and now < self.until:
            return LeaseAck(id=lease.id, accepted=False, code="held_by_another")
        since = now
        if lease.token is not None:
            if lease.token.boot != self.boot:
                return LeaseAck(id=lease.id, accepted=False, code="other_boot")
            since = min(now, lease.token.mono)
        if since + lease.ttl_ms <= now:
            return LeaseAck(id=lease.id, accepted=False, code="too_late")
        # A grant that overtook a later one shortens nothing.
        self.until = max(self.until, since + lease.ttl_ms)
        if lease.holder != self.holder:
            self.released = ""
        self.holder, self.ever = lease.holder, True
        return LeaseAck(id=lease.id, accepted=True)

    def annunciating(self, now: int) -> bool:
        """Whether this edge holds the right to sound."""
        return now >= self.until

    def reason(self, now: int) -> str:
        """A code: why it does or does not."""
        if now < self.until:
            return "lease_held"
        return "lease_lapsed" if self.ever else "no_lease"
