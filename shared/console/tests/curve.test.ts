import { describe, expect, it } from "vitest";
import type { Samples } from "@/api/types";
import { toCurve, withSnippet } from "@/lib/curve";

const samples = (t: number[], v: (number | null)[]): Samples => ({ tag: "T", unit: "", t, v, q: t.map(() => 0), resolution: "raw", lo: [], hi: [] });

describe("the part of a curve around a raise", () => {
  const slim = toCurve(samples([1000, 5000, 9000], [1, 5, 9]));
  const full = samples([4000, 4500, 5000, 5500, 6000], [4, 4.5, 5, 5.5, 6]);

  it("takes the place of the slim samples of its time and of no others", () => {
    const joined = withSnippet(slim, full, 4000, 6000);
    expect(joined.t).toEqual([1, 4, 4.5, 5, 5.5, 6, 9]);
    expect(joined.v).toEqual([1, 4, 4.5, 5, 5.5, 6, 9]);
  });
  it("never reaches back before what is shown", () => {
    const late = toCurve(samples([5200, 9000], [5, 9]));
    expect(withSnippet(late, full, 4000, 6000).t).toEqual([5.5, 6, 9]);
    expect(withSnippet(toCurve(samples([9000], [9])), full, 4000, 6000).t).toEqual([9]);
    expect(withSnippet({ t: [], v: [] }, full, 4000, 6000).t).toEqual([]);
  });
  it("breaks the line at a bad sample", () => {
    expect(toCurve({ ...samples([1000, 2000, 3000], [1, 2, 3]), q: [0, 2, 1] }).v).toEqual([1, null, 3]);
  });
  it("leaves the curve alone when nothing was taken along", () => {
    expect(withSnippet(slim, samples([], []), 4000, 6000)).toEqual(slim);
  });
});
