// Targets of ISA-18.2 and EEMUA 191, and how a figure stands to them. Thresholds of the site come
// from the server; what is here is what the standards recommend.
import type { InjectionKey, Ref } from "vue";
import type { KpiReport } from "@/api/types";

export type Standing = "good" | "over" | "plain";
/** Which figure of the page is pressed. */
export const PRESSED: InjectionKey<Ref<string | null>> = Symbol("pressed");
export const DAY_MS = 86_400_000;

/** Periods to choose, by their length. */
export const PERIODS = { "1h": 3_600_000, "8h": 8 * 3_600_000, "24h": DAY_MS, "7d": 7 * DAY_MS, "30d": 30 * DAY_MS } as const;
export type PeriodName = keyof typeof PERIODS;

/** At most so much is recommended; per operator position, in steady operation. */
export const TARGETS = {
  avg_per_10min: 1,
  manageable_per_10min: 2,
  peak: 10,
  pct_bins_over10: 1,
  pct_time_flood: 1,
  top10_pct: 5,
  chattering: 0,
  fleeting: 0,
  stale: 5,
} as const;

/** The recommended mix of annunciations over priorities: medium and low count as one. */
export const MIX = [
  { id: "1", priorities: ["1"], target: 5 },
  { id: "2", priorities: ["2"], target: 15 },
  { id: "34", priorities: ["3", "4"], target: 80 },
] as const;

export const judge = (value: number, target: number | null): Standing =>
  target === null ? "plain" : value <= target ? "good" : "over";

export interface MixLine {
  id: string;
  count: number;
  pct: number;
  target: number;
  standing: Standing;
}

/** Shares of the priorities beside 80/15/5; too many of the upper two is what is wrong. */
export function mix(prio: Readonly<Record<string, number>>): MixLine[] {
  const total = Object.values(prio).reduce((sum, n) => sum + n, 0);
  return MIX.map((line) => {
    const count = line.priorities.reduce((sum, p) => sum + (prio[p] ?? 0), 0);
    const pct = total ? Math.round((1000 * count) / total) / 10 : 0;
    const standing: Standing =
      total === 0 ? "plain" : line.id === "34" ? (pct >= line.target ? "good" : "over") : judge(pct, line.target);
    return { id: line.id, count, pct, target: line.target, standing };
  });
}

/** Stale alarms are recommended per day; a longer period may show more. */
export const staleTarget = (since: number, until: number) =>
  Math.max(TARGETS.stale, Math.round((TARGETS.stale * (until - since)) / DAY_MS));

/** Columns of the plot: time in s, mean, peak; a last point draws the last step to the end. */
export function columns(report: Pick<KpiReport, "series" | "until">): [number[], number[], number[]] {
  const t = report.series.map((slot) => slot.start / 1000);
  const mean = report.series.map((slot) => slot.mean);
  const peak = report.series.map((slot) => slot.peak);
  const last = report.series.at(-1);
  if (last) {
    t.push(report.until / 1000);
    mean.push(last.mean);
    peak.push(last.peak);
  }
  return [t, mean, peak];
}

/** The slot that a moment lies in, as a period to look behind. */
export function slotAt(report: Pick<KpiReport, "series" | "until">, index: number): { since: number; until: number } | null {
  const slot = report.series[Math.min(index, report.series.length - 1)];
  if (!slot) return null;
  const next = report.series[report.series.indexOf(slot) + 1];
  return { since: slot.start, until: next?.start ?? report.until };
}

/** A length in seconds as people say it. */
export function seconds(s: number): string {
  if (s < 60) return `${s < 10 ? s.toFixed(1) : s.toFixed(0)} s`;
  if (s < 3600) return `${(s / 60).toFixed(1)} min`;
  return `${(s / 3600).toFixed(1)} h`;
}
