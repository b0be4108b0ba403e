// Joins newly fetched samples to a curve.
import type { Samples } from "@/api/types";

export interface Curve {
  /** Seconds, rising. */
  t: number[];
  v: (number | null)[];
}

/** Append what is newer, drop what is older than `oldest` (ms). Bad quality breaks the line. */
export function mergeSamples(curve: Curve, got: Samples, oldest: number): Curve {
  const last = curve.t.at(-1) ?? Number.NEGATIVE_INFINITY;
  const from = curve.t.findIndex((s) => s * 1000 >= oldest);
  const t = from < 0 ? [] : curve.t.slice(from);
  const v = from < 0 ? [] : curve.v.slice(from);
  let newest = last;
  got.t.forEach((ms, i) => {
    const s = ms / 1000;
    if (s <= newest) return;
    newest = s;
    t.push(s);
    v.push(isBad(got.q[i] ?? 0) ? null : (got.v[i] ?? null));
  });
  return { t, v };
}

/** One tag's samples as a curve. */
export const toCurve = (got: Samples): Curve => mergeSamples({ t: [], v: [] }, got, Number.NEGATIVE_INFINITY);

/** The curve with its part in [since, until] (ms) at full rate. */
export function withSnippet(curve: Curve, full: Samples, since: number, until: number): Curve {
  const part = toCurve(full);
  if (!part.t.length) return curve;
  const oldest = curve.t[0] ?? Number.POSITIVE_INFINITY;
  const from = part.t.findIndex((s) => s >= oldest);
  if (from < 0) return curve;
  const before = curve.t.findIndex((s) => s * 1000 >= since);
  const after = curve.t.findIndex((s) => s * 1000 > until);
  const head = before < 0 ? curve.t.length : before;
  const tail = after < 0 ? curve.t.length : after;
  return {
    t: [...curve.t.slice(0, head), ...part.t.slice(from), ...curve.t.slice(tail)],
    v: [...curve.v.slice(0, head), ...part.v.slice(from), ...curve.v.slice(tail)],
  };
}

/** 0 good, 1 uncertain, 2 bad. */
const isBad = (q: number) => q === 2;
