// Wires the factory's stream to its stores.
import type { SseEvent } from "@/api/sse";
import type { AlarmDelta, RunList } from "@/api/types";
import { useAlarms } from "@/stores/alarms";
import { useLink } from "@/stores/link";
import { useRuns } from "@/stores/runs";

/** Fetch the picture, then follow it; returns what stops it. */
export function startFeed(): () => void {
  const alarms = useAlarms();
  const runs = useRuns();
  const link = useLink();
  let stopped = false;

  function onEvent(event: SseEvent): void {
    if (event.event === "delta") alarms.applyDelta(JSON.parse(event.data) as AlarmDelta);
    else if (event.event === "runs") runs.merge((JSON.parse(event.data) as RunList).runs);
    else if (event.event === "resync") {
      void alarms.resync();
      void runs.load();
    } else {
      // A heartbeat is also the moment to try again what failed before.
      if (alarms.problem) void alarms.resync();
      if (runs.problem) void runs.load();
    }
  }
  void runs.load();
  void alarms.resync().finally(() => {
    if (!stopped) link.start(onEvent, () => alarms.position);
  });
  return () => {
    stopped = true;
    link.stop();
    alarms.reset();
  };
}
