// Like held against like: one line for each factory of a kind, its bar against the kind's greatest.
import type { Comparison } from "@/api/types";

export interface ComparedRow {
  site: string;
  points: number;
  perPointAndDay: number;
  standingH: number;
  /** Share of judged alarms that were nuisance; null: nobody has judged one. */
  nuisance: number | null;
  labelled: number;
  annunciated: number;
  /** 0..1 of the worst of the kind. */
  share: number;
  /** More than twice the kind's median. */
  stands: boolean;
}
export interface ComparedKind {
  kind: string;
  rows: ComparedRow[];
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const mid = sorted.length >> 1;
  return sorted.length % 2 ? (sorted[mid] ?? 0) : ((sorted[mid - 1] ?? 0) + (sorted[mid] ?? 0)) / 2;
}

/** Worst factory first; kinds that several factories share before the others. */
export function compared(found: Comparison): ComparedKind[] {
  return found.kinds
    .map(({ kind, factories }) => {
      const most = Math.max(0, ...factories.map((f) => f.per_point_and_day));
      const middle = median(factories.map((f) => f.per_point_and_day));
      const rows = factories.map((f) => ({
        site: f.site, points: f.points, perPointAndDay: f.per_point_and_day, standingH: f.standing_h,
        nuisance: f.labelled ? f.nuisance / f.labelled : null, labelled: f.labelled,
        annunciated: f.annunciated, share: most > 0 ? f.per_point_and_day / most : 0,
        stands: factories.length > 1 && f.per_point_and_day > 2 * middle && f.annunciated > 0,
      }));
      return { kind, rows: rows.sort((a, b) => b.perPointAndDay - a.perPointAndDay || a.site.localeCompare(b.site)) };
    })
    .sort((a, b) => Number(b.rows.length > 1) - Number(a.rows.length > 1) || a.kind.localeCompare(b.kind));
}
