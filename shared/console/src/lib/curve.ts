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

/** OPC UA severity bits: 00 good, 01 uncertain, 1x bad. */
const isBad = (q: number) => q >>> 31 === 1;
