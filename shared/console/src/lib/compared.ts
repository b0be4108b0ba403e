// A proposal's figures now and proposed, as bars of one scale; what is not known has no bar.
import type { Proposal, ProposalBar, TrendDay } from "@/api/types";

export const FIGURES = [
  "alarms_per_day", "false_per_day", "false_alarms", "missed", "delay_s", "standing_h_per_day",
] as const satisfies readonly (keyof ProposalBar)[];

export interface Pair {
  key: (typeof FIGURES)[number];
  now: number | null;
  next: number | null;
  /** 0..1 of the greater of the two. */
  nowShare: number;
  nextShare: number;
}

/** Only figures of which at least one side is known. */
export function pairs(proposal: Pick<Proposal, "bars">): Pair[] {
  const bars = proposal.bars;
  if (!bars) return [];
  return FIGURES.flatMap((key) => {
    const now = bars.now[key];
    const next = bars.proposed[key];
    if (now === null && next === null) return [];
    const most = Math.max(now ?? 0, next ?? 0);
    const share = (value: number | null) => (most > 0 ? (value ?? 0) / most : 0);
    return [{ key, now, next, nowShare: share(now), nextShare: share(next) }];
  });
}

export interface DayBar {
  day: number;
  now: number | null;
  next: number | null;
  nowShare: number;
  nextShare: number;
}
/** Each counted day, on the scale of the worst of them. */
export function dayBars(trend: readonly TrendDay[]): DayBar[] {
  const most = Math.max(0, ...trend.flatMap((d) => [d.now ?? 0, d.proposed ?? 0]));
  const share = (value: number | null) => (most > 0 ? (value ?? 0) / most : 0);
  return trend.map((d) => ({ day: d.day, now: d.now, next: d.proposed, nowShare: share(d.now), nextShare: share(d.proposed) }));
}
