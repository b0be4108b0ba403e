"""Every NATS subject and bucket name of Andon, built and parsed here and nowhere else.

`andon.<site>.<node>.<kind>[.<part>]`; a node is an edge of a site or the site's brain.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.errors import ContractError

ROOT = "andon"
BRAIN = "brain"
"""The node name of a site's brain towards the group."""
CLOUD_DOMAIN = "cloud"
DEVICE_PREFIX = "dev"
NOTICE_PREFIX = "notice"

LIVE = "live"
REPLAY = "replay"
HISTORY = "history"
EVENT_LANES = (LIVE, REPLAY)

_TOKEN = re.compile(r"[a-z0-9][a-z0-9-]{0,31}\Z")


def check_token(name: str, what: str = "name") -> str:
    """Return `name` if it may stand in a subject; else raise ContractError."""
    if not _TOKEN.match(name):
        raise ContractError(
            f"{what} {name!r} must be 1-32 of a-z, 0-9 and '-', beginning with a letter or digit"
        )
    return name


@dataclass(frozen=True, slots=True)
class Node:
    """One speaker towards its upper tier: an edge (upper: brain) or a brain (upper: cloud)."""

    site: str
    name: str

    def __post_init__(self) -> None:
        check_token(self.site, "site")
        check_token(self.name, "node")

    @property
    def source(self) -> str:
        """The source id in positions and watermarks."""
        return f"{self.site}.{self.name}"

    @property
    def is_brain(self) -> bool:
        """Whether this node is a site's brain."""
        return self.name == BRAIN

    @property
    def upstream_domain(self) -> str:
        """The JetStream domain of the tier above."""
        return CLOUD_DOMAIN if self.is_brain else self.site

    @property
    def domain(self) -> str:
        """The JetStream domain of this node's own server."""
        return self.site if self.is_brain else f"{self.site}-{self.name}"

    @property
    def prefix(self) -> str:
        """The subtree that this node's credentials allow."""
        return f"{ROOT}.{self.site}.{self.name}"

    @property
    def inbox(self) -> str:
        """Prefix of this node's own reply inboxes."""
        return f"_INBOX_{self.site}_{self.name}"

    @property
    def health(self) -> str:
        """Heartbeats, up."""
        return f"{self.prefix}.health"

    @property
    def hello(self) -> str:
        """Registration of an epoch, a request upward."""
        return f"{self.prefix}.hello"

    @property
    def committed(self) -> str:
        """Watermark reports, down."""
        return f"{self.prefix}.health.committed"

    @property
    def lease(self) -> str:
        """Annunciation lease, a request downward."""
        return f"{self.prefix}.health.lease"

    @property
    def command(self) -> str:
        """Commands, requests downward."""
        return f"{self.prefix}.command"

    @property
    def fact(self) -> str:
        """Operator facts, requests downward."""
        return f"{self.prefix}.fact"

    @property
    def sampling(self) -> str:
        """Wishes for a tag's every sample, requests downward."""
        return f"{self.prefix}.sampling"

    @property
    def directive(self) -> str:
        """'Read your directive bucket', down."""
        return f"{self.prefix}.directive"

    @property
    def directive_bucket(self) -> str:
        """Key-value bucket, in the upstream domain, that only this node may read."""
        return f"directive_{self.site}_{self.name}"

    def reply(self, connection: str) -> str:
        """Where this node answers requests of the upper tier's connection `connection`."""
        return f"{self.prefix}.reply.{connection}"

    def lane(self, lane: str) -> str:
        """Subject of one outbox lane's frames."""
        if lane == HISTORY:
            return f"{self.prefix}.sample.{lane}"
        kind = "outcome" if self.is_brain else "alarm"
        return f"{self.prefix}.{kind}.{lane}"

    @property
    def may_publish(self) -> tuple[str, ...]:
        """All that this node may send up through its leaf connection."""
        bucket = self.directive_bucket
        kinds = ["outcome"] if self.is_brain else ["alarm", "sample"]
        return (
            *(f"{self.prefix}.{kind}.>" for kind in kinds),
            self.health,
            self.hello,
            f"{self.prefix}.reply.>",
            f"$JS.{self.upstream_domain}.API.DIRECT.GET.KV_{bucket}.>",
        )

    @property
    def may_receive(self) -> tuple[str, ...]:
        """All that may come down to this node through its leaf connection."""
        return (
            self.command,
            self.fact,
            *(() if self.is_brain else (self.sampling,)),
            self.directive,
            self.committed,
            self.lease,
            f"{self.inbox}.>",
        )


def parse(subject: str) -> tuple[Node, str, str]:
    """Split a subject into (node, kind, rest); raises ContractError when it is not ours."""
    parts = subject.split(".")
    if len(parts) < 4 or parts[0] != ROOT:
        raise ContractError(f"not a subject of Andon: {subject!r}")
    return Node(parts[1], parts[2]), parts[3], ".".join(parts[4:])


def any_node(site: str = "*", node: str = "*", *rest: str) -> str:
    """A subscription pattern over sites and nodes."""
    return ".".join((ROOT, site, node, *rest))


def device_topic(device: str, *rest: str) -> str:
    """What a device of the plant publishes, as a NATS subject."""
    return ".".join((DEVICE_PREFIX, device, *rest))


def notice_topic(device: str, *rest: str) -> str:
    """What is said to a device of the plant, as a NATS subject."""
    return ".".join((NOTICE_PREFIX, device, *rest))
