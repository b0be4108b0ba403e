// What of a timeline's entry is told to people: its kind, and of its parameters what says something.
// Identifiers, versions and clock figures stay in the export.
import type { TimelineEntry } from "@/api/types";
import { age, num, when } from "./format";

const QUIET = new Set([
  "alarm", "occurrence", "version", "annunciated_version", "kind", "annunciate", "settings_version",
  "priority", "asset", "tag", "unit", "side", "source_time", "receive_time", "clock_offset_ms",
  "clock_uncertainty_ms", "raised_at", "returned_at", "fact", "actor", "trace", "value", "limit",
  "text", "reason", "comment", "ms", "until", "to", "names", "one_shot",
]);
const said = (value: unknown) => (typeof value === "string" && value ? `“${value}”` : "");

export interface Told {
  lane: string;
  kind: string;
  /** Words of people and figures, in reading order. */
  words: string;
  rest: Record<string, unknown>;
}

export function told(entry: TimelineEntry): Told {
  const p = entry.params;
  const alarm = entry.kind.startsWith("alarm.");
  const figures =
    typeof p.value === "number"
      ? `${num(p.value)}${typeof p.limit === "number" ? ` / ${num(p.limit)}` : ""} ${p.unit ?? ""}`.trim()
      : "";
  const words = [
    typeof p.to === "string" ? `→ ${p.to || "—"}` : "",
    figures,
    typeof p.ms === "number" ? age(p.ms) : "",
    typeof p.until === "number" ? `→ ${when(p.until)}` : "",
    said(p.text), said(p.reason), said(p.comment),
  ];
  const rest = Object.entries(p).filter(([key, value]) => !QUIET.has(key) && value !== null && value !== "");
  return {
    lane: alarm ? "alarm" : entry.lane,
    kind: alarm ? entry.kind.slice("alarm.".length) : entry.kind,
    words: words.filter(Boolean).join(" · "),
    rest: Object.fromEntries(rest),
  };
}
