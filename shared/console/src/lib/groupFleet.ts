// Sums over the fleet, and what a push asks for.
import type { FleetEdge, FleetFactory, PushRequest } from "@/api/types";

/** From this on an edge's clock is marked: alarms of two edges can no longer be put in order. */
export const CLOCK_BAD_MS = 500;

export interface FleetSum extends Record<string, number> {
  factories: number;
  online: number;
  edges: number;
  edgesOnline: number;
  drifts: number;
  backlog: number;
}
export function fleetSum(factories: readonly FleetFactory[]): FleetSum {
  const edges = factories.flatMap((f) => f.edges);
  return {
    factories: factories.length,
    online: factories.filter((f) => f.online).length,
    edges: edges.length,
    edgesOnline: edges.filter((e) => e.online).length,
    drifts: edges.filter((e) => e.drifts).length,
    backlog: factories.reduce((sum, f) => sum + f.buffered, 0) + edges.reduce((sum, e) => sum + e.buffered, 0),
  };
}

/** What is not as it should be, as codes to be worded. */
export function troubles(e: FleetEdge): string[] {
  const found: string[] = [];
  if (!e.online) found.push("offline");
  if (e.journal_degraded) found.push("journal");
  if (e.drifts) found.push("drifts");
  if (e.clock_offset_ms !== null && Math.abs(e.clock_offset_ms) >= CLOCK_BAD_MS) found.push("clock");
  if (Object.values(e.drivers).some((s) => !["ok", "up", "running", "connected"].includes(s))) found.push("driver");
  return found;
}

/** The fields of the form; what is empty stays as it is. */
export interface PushForm {
  sites: string[];
  alarm: string;
  tagClass: string;
  side: string;
  onDelay: number | "";
  offDelay: number | "";
  deadband: number | "";
  steps: number | "";
}
const given = (value: number | ""): number | null => (value === "" ? null : value);

export function pushRequest(form: PushForm, reason = "", expect = ""): PushRequest {
  return {
    sites: form.sites, alarm: form.alarm.trim(), tag_class: form.tagClass.trim(), asset_class: "",
    side: form.side, on_delay_s: given(form.onDelay), off_delay_s: given(form.offDelay),
    deadband_factor: given(form.deadband), limit_steps: given(form.steps), policy: "", reason, expect,
  };
}
/** Whether anything is to change at all. */
export const asksNothing = (form: PushForm): boolean =>
  [form.onDelay, form.offDelay, form.deadband, form.steps].every((v) => v === "");
