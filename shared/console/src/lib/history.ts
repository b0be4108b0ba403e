// What a factory's own history says of a proposal, prepared for its chart and lists.
import type { ProposalHistory } from "@/api/types";

/** Columns for the chart: seconds, lowest, highest. A part without samples breaks the curve. */
export function bandColumns(points: readonly (readonly number[])[]): [number[], (number | null)[], (number | null)[]] {
  const t: number[] = [];
  const low: (number | null)[] = [];
  const high: (number | null)[] = [];
  let usual = Number.POSITIVE_INFINITY;
  for (let i = 1; i < points.length; i++) usual = Math.min(usual, (points[i]?.[0] ?? 0) - (points[i - 1]?.[0] ?? 0));
  for (const [at, least, most] of points) {
    if (at === undefined) continue;
    const last = t.at(-1);
    if (last !== undefined && at / 1000 - last > (3 * usual) / 1000) {
      t.push(last + usual / 1000);
      low.push(null);
      high.push(null);
    }
    t.push(at / 1000);
    low.push(least ?? null);
    high.push(most ?? null);
  }
  return [t, low, high];
}

export interface Mark {
  key: string;
  at: number;
  until: number;
  kind: "vanish" | "later";
}
/** The alarms that the two settings tell differently, oldest first. */
export function marksOf(history: Pick<ProposalHistory, "vanish" | "later" | "until">): Mark[] {
  const end = history.until ?? 0;
  const of = (kind: Mark["kind"]) => (a: ProposalHistory["vanish"][number]) => ({
    key: `${kind}${a.raised_at}`, at: a.raised_at, until: a.cleared_at ?? Math.max(end, a.raised_at), kind,
  });
  return [...history.vanish.map(of("vanish")), ...history.later.map(of("later"))].sort((a, b) => a.at - b.at);
}

export type FaultTold = "same" | "later" | "sooner" | "lost" | "caught" | "never";
/** How people are told of a recorded fault under the proposed setting, against now. */
export function faultTold(before: number | null, after: number | null): FaultTold {
  if (before === null) return after === null ? "never" : "caught";
  if (after === null) return "lost";
  return after > before ? "later" : after < before ? "sooner" : "same";
}
