// What is shown of a roll-out: which states still move, what its edges' trials told.
import type { RolloutDetail, RolloutResult, RolloutSummary } from "@/api/types";

const ENDED = new Set(["done", "rolled_back", "refused", "expired"]);
export const isGoing = (state: string): boolean => !ENDED.has(state);
/** Ended otherwise than wanted, or on its way there. */
export const wentWrong = (state: string): boolean =>
  state === "rolling_back" || state === "rolled_back" || state === "refused" || state === "expired";

/** Going first, then the newest. */
export function rolloutOrder(a: RolloutSummary, b: RolloutSummary): number {
  return (
    Number(isGoing(b.state)) - Number(isGoing(a.state)) ||
    b.created_at - a.created_at ||
    b.id.localeCompare(a.id)
  );
}

/** What an edge told of one alarm when it replayed its own recent samples; its figures only. */
export interface Rehearsed {
  old: number | null;
  next: number | null;
  hours: number;
}
const first = (value: unknown): number | null =>
  Array.isArray(value) && typeof value[0] === "number" ? value[0] : null;

/** site/edge/alarm -> the newest trial run of it. */
export function rehearsals(results: readonly RolloutResult[]): Map<string, Rehearsed> {
  const found = new Map<string, Rehearsed>();
  const trials = results.filter((r) => r.kind === "dry_run" && r.status === "applied");
  for (const r of [...trials].sort((a, b) => a.counter - b.counter)) {
    const alarms = r.params.alarms;
    if (alarms === null || typeof alarms !== "object") continue;
    for (const [alarm, told] of Object.entries(alarms as Record<string, Record<string, unknown>>)) {
      const covered = told?.coverage_s;
      found.set(`${r.site}/${r.edge}/${alarm}`, {
        old: first(told?.now),
        next: first(told?.new),
        hours: typeof covered === "number" ? covered / 3600 : 0,
      });
    }
  }
  return found;
}

/** Whether I may be the second one: whoever began it may not. */
export const mayAgree = (plan: Pick<RolloutDetail, "state" | "actions" | "created_by">, me: string): boolean =>
  plan.actions.includes("agree") && plan.created_by !== me;
