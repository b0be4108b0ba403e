// What an incident's screens work out of what the server says: order, possible acts, lanes.
import type { Incident, IncidentEntry, IncidentMember } from "@/api/types";
import { num } from "./format";

export const LANES = ["process", "alarm", "people", "playbook", "command", "cloud"] as const;
/** A trace also knows what was told to people and devices, product units, and incidents. */
export const TRACE_LANES = ["process", "alarm", "people", "playbook", "command", "told", "unit", "incident", "cloud"] as const;
export type Lane = (typeof TRACE_LANES)[number];
/** What a time line draws: an entry of an incident or of a trace. */
export interface LaneEntry {
  at: number;
  received_at: number | null;
  lane: Lane;
  kind: string;
  params: Record<string, unknown>;
  actor: string | null;
  tier: string | null;
  late: boolean;
  alarm: string | null;
  occurrence?: string | null;
  station?: string | null;
  unit?: string | null;
  clock?: string;
  uncertainty_ms?: number | null;
  uncertain?: boolean;
}
export type Act = "acknowledge" | "own" | "note" | "contain" | "close" | "reopen" | "merge";

const FROM: Record<Act, readonly Incident["status"][]> = {
  acknowledge: ["open"],
  own: ["open", "acknowledged", "contained"],
  contain: ["open", "acknowledged"],
  close: ["acknowledged", "contained"],
  reopen: ["closed"],
  merge: ["open", "acknowledged", "contained"],
  note: ["open", "acknowledged", "contained", "closed"],
};

/** The acts that have a meaning now; the server decides again. */
export function actsOf(incident: Incident): Act[] {
  return (Object.keys(FROM) as Act[]).filter((act) => FROM[act].includes(incident.status));
}

/** Not seen by anybody first, then worst priority, then newest. */
export function byUrgency(a: Incident, b: Incident): number {
  const seen = (i: Incident) => Number(i.status !== "open");
  return (
    seen(a) - seen(b) ||
    Number(a.settled) - Number(b.settled) ||
    a.priority - b.priority ||
    b.first_at - a.first_at ||
    a.id.localeCompare(b.id)
  );
}

export const isOpen = (incident: Incident) => !["closed", "merged"].includes(incident.status);

/** Lanes that have something to tell; the others are drawn narrow. */
export function lanesUsed(entries: readonly LaneEntry[]): Set<Lane> {
  return new Set(entries.map((entry) => entry.lane));
}

/** How far the clock that stamped an entry may be off: that of its alarm's occurrence. */
export function uncertaintyOf(
  entry: IncidentEntry,
  members: readonly IncidentMember[],
): number | null {
  if (!entry.alarm || !["process", "alarm"].includes(entry.lane)) return null;
  const own = entry.params.clock_uncertainty_ms;
  if (typeof own === "number") return Math.round(own);
  const known = members
    .filter((member) => member.alarm === entry.alarm)
    .map((member) => member.uncertainty_ms)
    .filter((ms): ms is number => ms !== null);
  return known.length ? Math.max(...known) : null;
}

/** Milliseconds from the source to here, where that is worth saying. */
export function delayOf(entry: LaneEntry): number | null {
  if (entry.received_at === null) return null;
  const delay = entry.received_at - entry.at;
  return Math.abs(delay) >= 1_000 ? delay : null;
}

const TOLD = new Set(["alarm", "text", "cause", "outcome", "owner", "other", "incidents", "value", "unit", "to", "limit", "actor"]);
/** What the machines need to understand each other, and people do not. */
const NOISE = new Set([
  "occurrence", "version", "annunciated_version", "kind", "annunciate", "settings_version", "priority",
  "asset", "tag", "source_time", "receive_time", "clock_offset_ms", "clock_uncertainty_ms", "raised_at",
  "returned_at", "acked_at", "fact", "hlc", "side", "ended_at", "incident",
]);

/** Parameters that nothing else on an entry's line shows and that people can use. */
export function restOf(entry: LaneEntry): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(entry.params).filter(([key, value]) => !TOLD.has(key) && !NOISE.has(key) && value !== "" && value !== null),
  );
}

/** The measured value of an entry beside its limit, if it has one. */
export function measuredOf(entry: LaneEntry): string {
  const { value, unit, limit } = entry.params;
  if (typeof value !== "number") return "";
  const beside = typeof limit === "number" ? ` / ${num(limit)}` : "";
  return `${num(value)}${beside} ${typeof unit === "string" ? unit : ""}`.trim();
}
