// The occurrences of one alarm as the group's journal tells them, beside what a proposal would do.
import type { Evidence, GroupEvent } from "@/api/types";

export type Fate = "same" | "vanish" | "later";
export interface Occasion {
  occurrence: string;
  raised: number;
  /** null: it still stands, or its return has not come up. */
  returned: number | null;
  /** The process value when it was raised. */
  value: number | null;
  fate: Fate;
}

const figure = (value: unknown): number | null =>
  typeof value === "number" && Number.isFinite(value) ? value : null;

/** Oldest first; what several events tell of one occurrence becomes one. */
export function occasions(events: readonly GroupEvent[], evidence: Evidence): Occasion[] {
  const found = new Map<string, Occasion>();
  const vanish = new Set(evidence.vanish);
  const later = new Set(evidence.later);
  for (const e of events) {
    const body = e.body;
    const raised = figure(body.raised_at);
    if (!e.occurrence || !raised || typeof body.kind !== "string") continue;
    const one: Occasion = found.get(e.occurrence) ?? {
      occurrence: e.occurrence, raised, returned: null, value: null,
      fate: vanish.has(e.occurrence) ? "vanish" : later.has(e.occurrence) ? "later" : "same",
    };
    if (body.kind === "raised") one.value = figure(body.value);
    one.returned = figure(body.returned_at) || one.returned;
    found.set(e.occurrence, one);
  }
  return [...found.values()].sort((a, b) => a.raised - b.raised);
}

/** The lower and upper end of what is drawn, limits included. */
export function span(values: readonly (number | null)[]): [number, number] {
  const all = values.filter((n): n is number => n !== null && Number.isFinite(n));
  if (!all.length) return [0, 1];
  const low = Math.min(...all);
  const high = Math.max(...all);
  const pad = (high - low || Math.abs(high) || 1) * 0.15;
  return [low - pad, high + pad];
}
