"""Runs the group's learners for the application: plain data in, plain data out.

Called in threads. Learners are imported here when they are first needed: a cloud that has nothing
to learn pays for none of them.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from group_cloud.application.kept_state import UnreadableStateError
from group_cloud.application.notices.ports import Fed, Found
from group_cloud.application.nuisance.ports import Champion, PointRank, Scored, Seen, Spot

if TYPE_CHECKING:
    from group_cloud.learning.nuisance import NuisanceRanker, Occurrence

Learner = TypeVar("Learner")
MOST_STREAMS = 6_000
"""Of one factory: a stream per alarm point, a few for all of it."""
SEED = 2
WEIGHT = 6.0
"""Verdicts that the ranker's opinion of a point is worth beside the people's own."""


def watch_drift(
    data: dict[str, Any] | None, numbers: Sequence[Fed]
) -> tuple[list[Found], dict[str, Any]]:
    """Implements `application/notices/ports.Learn`."""
    from group_cloud.learning.drift import DriftWatch, Kind

    kinds: dict[str, Kind] = {
        "alarms": "alarm_rate", "judged": "label_rate", "dismissed": "label_rate",
        "forecast": "residual",
    }  # fmt: skip
    watch = (
        _restored(lambda: DriftWatch.restore(unpacked(data))) if data else DriftWatch(MOST_STREAMS)
    )
    found = []
    for each in numbers:
        kind = kinds[each.what]
        told = watch.learn_one((f"{each.what}/{each.alarm}", kind, each.day), each.value)
        if told is not None:
            found.append(
                Found(each.what, each.alarm, kind, each.day, told.before, told.now, told.trend)
            )
    return found, packed(watch.snapshot())


def packed(data: dict[str, Any]) -> dict[str, Any]:
    """Plain data as one text: thousands of numbers would hold up whoever writes them as JSON."""
    body = zlib.compress(msgspec.json.encode(data), 1)
    return {"schema": data["schema"], "body": base64.b64encode(body).decode()}


def unpacked(data: dict[str, Any]) -> dict[str, Any]:
    """Read what `packed` wrote."""
    return msgspec.json.decode(zlib.decompress(base64.b64decode(data["body"])))


def _restored(read: Callable[[], Learner]) -> Learner:
    """A stored state; raises UnreadableStateError, whatever is wrong with it."""
    try:
        return read()
    except (
        ValueError, LookupError, TypeError, AttributeError, zlib.error, msgspec.MsgspecError
    ) as error:  # fmt: skip
        raise UnreadableStateError(f"{type(error).__name__}: {error}"[:300]) from error


class NuisanceLearner:
    """Implements `application/nuisance/ports.Ranker`."""

    def learn(
        self, data: dict[str, Any] | None, verdicts: Sequence[tuple[Seen, bool]]
    ) -> tuple[list[Scored], Champion, dict[str, Any]]:
        """Tell each, then learn it."""
        ranker, found = _ranker(data), list[Scored]()
        for seen, nuisance in verdicts:
            x = _occurrence(seen)
            scores = ranker.scores(x)
            said = round(ranker.probability(x), 4) if scores else None
            logistic, bayes = (round(scores[0], 6), round(scores[1], 6)) if scores else (None, None)
            found.append(Scored(logistic, bayes, said))
            ranker.learn_one(x, nuisance)
        return found, _champion(ranker), ranker.snapshot()

    def rank(
        self, data: dict[str, Any] | None, spots: Sequence[Spot], recent: dict[str, list[Seen]]
    ) -> list[PointRank]:
        """The ranker's opinion of a point's newest alarms is worth a few verdicts; people's own
        verdicts on that point are worth what they are."""
        ranker, found = _ranker(data), list[PointRank]()
        for spot in spots:
            alarms = [_occurrence(seen) for seen in recent.get(spot.alarm, [])]
            said = [ranker.probability(x) for x in alarms]
            opinion = sum(said) / len(said) if said else ranker.share
            # Half a verdict each way: neither ranker nor people are ever certain.
            up = WEIGHT * opinion + spot.nuisance + 0.5
            down = WEIGHT * (1 - opinion) + spot.labels - spot.nuisance + 0.5
            mean = up / (up + down)
            spread = 1.645 * math.sqrt(mean * (1 - mean) / (up + down + 1))
            why = Counter(name for x in alarms for name in ranker.because(x)) if data else Counter()
            found.append(PointRank(
                spot.alarm, spot.edge, round(mean, 4), round(max(0.0, mean - spread), 4),
                round(min(1.0, mean + spread), 4), spot.labels, spot.nuisance, len(alarms),
                spot.last_true_at, tuple(name for name, _ in why.most_common(3)),
            ))  # fmt: skip
        return sorted(found, key=lambda each: (-each.probability, each.alarm))


def _ranker(data: dict[str, Any] | None) -> NuisanceRanker:
    from group_cloud.learning.nuisance import NuisanceRanker

    return _restored(lambda: NuisanceRanker.restore(data)) if data else NuisanceRanker(SEED)


def _champion(ranker: NuisanceRanker) -> Champion:
    return "bayes" if ranker.champion == "bayes" else "logistic"


def _occurrence(seen: Seen) -> Occurrence:
    from group_cloud.learning.nuisance import Occurrence

    since = seen.since_last_min if seen.since_last_min >= 0 else math.inf
    return Occurrence(
        seen.occurrence, seen.alarm, since, seen.of_point_hour, seen.of_point_day,
        seen.others_10min, seen.others_hour, seen.standing, seen.usual_per_day,
    )  # fmt: skip
