"""`sinks.yaml`: where events and samples go beside Andon, and which of them.

Read by `loader`; the brain runs what it says. Only shapes, and what the files alone can tell.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from shared.expression import ExpressionError, compile_expression
from shared.site.fields import Duration, Model, Names
from shared.site.links import EVENT, LinkId, SecretName, Text

if TYPE_CHECKING:
    from shared.site.reader import Reader
    from shared.site.site import Site

SINKS_FILE = "sinks.yaml"


def _without_secret(url: str) -> str:
    try:
        parts = urlsplit(url)
        held = parts.password
    except ValueError as fault:
        raise ValueError(f"not a URL: {fault}") from fault
    if not parts.scheme:
        raise ValueError("write a whole URL, with what stands before ://")
    if held:
        raise ValueError("no password here: put it into a file of the secrets, name it as `secret`")
    return url


class SampleChoice(Model):
    """Which samples; a tag is taken that one of the two names."""

    tags: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field(default_factory=list)
    """Names of tags, `*` and `?` stand for what you like."""
    areas: list[str] = Field(default_factory=list)
    """Assets with all that lies in them."""


class SinkSpec(Model):
    """One target."""

    id: LinkId
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
    """`sql`, `influx`, `kafka`, or one that a package adds."""
    url: Annotated[str, Field(max_length=500), AfterValidator(_without_secret)]
    name: Names | None = None
    secret: SecretName | None = None
    """The file that holds the password or token."""
    events: Text = ""
    """Over `event`; `true`: all. Left out: none."""
    samples: SampleChoice = SampleChoice()
    begin: Literal["now", "start"] = "now"
    """Of events, when the sink is new: from here on, or all that the journal holds."""
    batch: Annotated[int, Field(ge=1, le=20_000)] = 1000
    period: Annotated[Duration, Field(ge=50, le=3_600_000)] = 1000
    timeout: Annotated[Duration, Field(ge=100, le=300_000)] = 20_000
    """For one batch; then it is tried again."""
    behind: Annotated[Duration, Field(ge=1000)] = 60_000
    """Later than this by so much is a condition of the system."""
    keep: Annotated[Duration, Field(ge=60_000)] = 7 * 86_400_000
    """How long samples wait for a target that is away."""

    @model_validator(mode="after")
    def _wants_something(self) -> SinkSpec:
        if not self.events and not self.samples.tags and not self.samples.areas:
            raise ValueError(
                "takes nothing: write `events: 'true'`, or `samples` with tags or areas"
            )
        return self

    @property
    def wants_samples(self) -> bool:
        """Whether it takes any."""
        return bool(self.samples.tags or self.samples.areas)

    def takes(self, tag: str, site: Site) -> bool:
        """Whether samples of a tag are for it."""
        if any(fnmatchcase(tag, pattern) for pattern in self.samples.tags):
            return True
        spec = site.tags.get(tag)
        return spec is not None and any(
            site.assets.within(spec.asset, area) for area in self.samples.areas
        )


class SinksFile(Model):
    """`sinks.yaml`."""

    sinks: list[SinkSpec] = Field(default_factory=list, max_length=20)


def check_sinks(site: Site, reader: Reader) -> None:
    """Add a fault for each filter that is wrong and each choice that chooses nothing."""
    known = {*site.asset_specs, site.info.site, *(t.asset for t in site.tags.values())}
    for sink in site.sinks.values():
        if sink.events:
            try:
                compile_expression(sink.events, roots={"event": EVENT}, tags=())
            except ExpressionError as error:
                reader.fault(
                    f"{sink.id}: `events`, column {error.column} of the expression: "
                    f"{error.text['en']}", reader.place("sinks", sink.id, "events"),
                    "correct the expression; it may name event",
                )  # fmt: skip
        for index, area in enumerate(sink.samples.areas):
            reader.reference("area", area, known, "sinks", sink.id, "samples", "areas", index)
        for index, pattern in enumerate(sink.samples.tags):
            if not any(fnmatchcase(tag, pattern) for tag in site.tags):
                reader.fault(
                    f"{sink.id}: no tag is called {pattern!r}",
                    reader.place("sinks", sink.id, "samples", "tags", index),
                    "correct the pattern, or leave it out; `andon site check` knows all tags",
                )  # fmt: skip
