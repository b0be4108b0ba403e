import { describe, expect, it } from "vitest";
import { columns, DAY_MS, judge, mix, seconds, slotAt, staleTarget } from "@/lib/kpi";
import { query } from "@/lib/load";

describe("a figure beside its target", () => {
  it("is over only above it", () => {
    expect(judge(1, 1)).toBe("good");
    expect(judge(1.01, 1)).toBe("over");
    expect(judge(5, null)).toBe("plain");
  });
  it("allows stale alarms per day", () => {
    expect(staleTarget(0, 3_600_000)).toBe(5);
    expect(staleTarget(0, 7 * DAY_MS)).toBe(35);
  });
});

describe("the mix of priorities", () => {
  it("counts medium and low as one, and minds too many of the upper ones", () => {
    const lines = mix({ "1": 10, "2": 10, "3": 50, "4": 30 });
    expect(lines.map((l) => [l.id, l.count, l.pct, l.standing])).toEqual([
      ["1", 10, 10, "over"], ["2", 10, 10, "good"], ["34", 80, 80, "good"],
    ]);
  });
  it("judges nothing where nothing sounded", () => {
    expect(mix({}).map((l) => l.standing)).toEqual(["plain", "plain", "plain"]);
  });
});

describe("the plot", () => {
  const report = { until: 90_000, series: [{ start: 0, mean: 1, peak: 2 }, { start: 60_000, mean: 3, peak: 4 }] };
  it("draws the last step to the period's end", () => {
    expect(columns(report)).toEqual([[0, 60, 90], [1, 3, 3], [2, 4, 4]]);
    expect(columns({ until: 5, series: [] })).toEqual([[], [], []]);
  });
  it("opens the slot under the pointer, also at the last point", () => {
    expect(slotAt(report, 0)).toEqual({ since: 0, until: 60_000 });
    expect(slotAt(report, 2)).toEqual({ since: 60_000, until: 90_000 });
    expect(slotAt({ until: 5, series: [] }, 0)).toBeNull();
  });
});

it("lengths and queries are written short", () => {
  expect([seconds(3.21), seconds(42), seconds(90), seconds(7200)]).toEqual(["3.2 s", "42 s", "1.5 min", "2.0 h"]);
  expect(query({ a: 1, b: "", c: null, d: "x y" })).toBe("?a=1&d=x+y");
  expect(query({})).toBe("");
});
