// Wires the factory's stream to its stores.
import type { SseEvent } from "@/api/sse";
import type { AlarmDelta, IncidentPage, LikenessList, MessageList, RunList } from "@/api/types";
import { useAlarms } from "@/stores/alarms";
import { useIncidents } from "@/stores/incidents";
import { useLink } from "@/stores/link";
import { useMail } from "@/stores/mail";
import { useRuns } from "@/stores/runs";
import { useVoice } from "@/stores/voice";
import type { Spoken } from "./speech";

/** Fetch the picture, then follow it; returns what stops it. */
export function startFeed(): () => void {
  const alarms = useAlarms();
  const runs = useRuns();
  const incidents = useIncidents();
  const link = useLink();
  const voice = useVoice();
  const mail = useMail();
  let stopped = false;

  function onEvent(event: SseEvent): void {
    if (event.event === "delta") alarms.applyDelta(JSON.parse(event.data) as AlarmDelta);
    else if (event.event === "runs") runs.merge((JSON.parse(event.data) as RunList).runs);
    else if (event.event === "incidents")
      incidents.merge((JSON.parse(event.data) as IncidentPage).items);
    else if (event.event === "flood_likeness")
      incidents.likened = (JSON.parse(event.data) as LikenessList).items.map((i) => i.incident);
    else if (event.event === "group_messages") mail.take(JSON.parse(event.data) as MessageList);
    else if (event.event === "speak") voice.hear(JSON.parse(event.data) as Spoken);
    else if (event.event === "resync") {
      void alarms.resync();
      void runs.load();
      void incidents.load();
      void mail.load();
    } else {
      // A heartbeat is also the moment to try again what failed before.
      if (alarms.problem) void alarms.resync();
      if (runs.problem) void runs.load();
      if (incidents.problem) void incidents.load();
      if (mail.problem) void mail.load();
    }
  }
  void runs.load();
  void incidents.load();
  void mail.load();
  void alarms.resync().finally(() => {
    if (!stopped) link.start(onEvent, () => alarms.position);
  });
  return () => {
    stopped = true;
    link.stop();
    alarms.reset();
  };
}
