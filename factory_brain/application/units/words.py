"""Names of a site for what the store of units holds as ids. Reads nothing but the site."""

from __future__ import annotations

from factory_brain.application.units.ports import Passage, Relation
from factory_brain.domain.rows import text
from shared.site.process import process_tags
from shared.site.site import Site
from shared.web.dto_base import Text
from shared.web.dto_trace import PassageOut, RelationOut, StationOut


class UnitWords:
    """What people call stations, tags and alarms."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def alarm(self, alarm: str) -> Text:
        """An alarm's name."""
        known = self._site.alarms.get(alarm)
        return text(known.name) if known else Text(zh=alarm, en=alarm)

    def tag(self, tag: str) -> Text:
        """A tag's name."""
        known = self._site.tags.get(tag)
        return Text(zh=known.name.zh, en=known.name.en) if known else Text(zh=tag, en=tag)

    def station(self, station: str) -> Text:
        """A station's name; of one that was taken out, its id."""
        known = self._site.stations.get(station)
        return Text(zh=known.name.zh, en=known.name.en) if known else Text(zh=station, en=station)

    def limits(self, tag: str) -> dict[str, float]:
        """side -> limit of a tag's alarms, as the site's files have them."""
        return {
            alarm.side: alarm.setting.limit for alarm in self._site.alarms.values()
            if alarm.tag == tag and alarm.side and alarm.setting.limit is not None
        }  # fmt: skip

    def passage(self, passage: Passage) -> PassageOut:
        """A stay as the interface shows it."""
        return PassageOut(
            unit=passage.unit, batch=passage.batch, station=passage.station,
            name=self.station(passage.station), asset=passage.asset,
            entered_at=passage.entered_at, left_at=passage.left_at, source=passage.source,
            attributes=dict(passage.attributes),
        )  # fmt: skip

    def stations(self) -> list[StationOut]:
        """The process."""
        return [
            StationOut(
                id=each.id, name=self.station(each.id), asset=each.asset,
                follows=list(each.follows), tags=process_tags(each, self._site),
            )
            for each in self._site.stations.values()
        ]  # fmt: skip


def relation(known: Relation) -> RelationOut:
    """A step of the genealogy as the interface shows it."""
    return RelationOut(
        parent=known.parent, child=known.child, kind=known.kind, at=known.at,
        station=known.station,
    )  # fmt: skip
