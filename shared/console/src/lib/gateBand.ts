// Where on a line from 0 to 100 an alarm count and the band of its forecast lie.
import type { GateFigure } from "@/api/types";

export interface Band {
  from: number;
  to: number;
  at: number;
  expected: number | null;
}

/** The band takes two thirds of the line, so that a count beyond it stays in the picture. */
export function bandOf(f: Pick<GateFigure, "alarms" | "least" | "most" | "expected">): Band {
  const end = Math.max(f.alarms * 1.1, (f.most ?? f.alarms * 2) * 1.5, 1);
  const place = (n: number) => Math.min(98.4, (n / end) * 100);
  return { from: place(f.least), to: f.most === null ? 100 : place(f.most), at: place(f.alarms), expected: f.expected === null ? null : place(f.expected) };
}
