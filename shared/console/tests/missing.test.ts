// Pure parts of the screens for tries, playbooks of the group, the gate and the factories' consoles.
import { describe, expect, it } from "vitest";
import { consoleLink } from "@/lib/consoles";
import { bandOf } from "@/lib/gateBand";
import { actsOf, bookLine, booksOf, newestPushes } from "@/lib/groupBooks";
import { fromLocal, toLocal } from "@/lib/localTime";
import { formOf, reachOf, wishOf } from "@/lib/tries";
import { decidable } from "@/stores/directives";

const POINT = {
  setting: { limit: 1230, deadband: 5, on_delay_s: 1, off_delay_s: 2, filter: "raw" as const },
  bounds: { limit_min: 1200, limit_max: 1265, step: 5, on_delay_max_ms: 20_000 },
};

describe("tries", () => {
  it("wishes for what differs only, and for no nonsense", () => {
    const form = formOf(POINT);
    expect(wishOf(POINT, form)).toBeNull();
    expect(wishOf(POINT, { ...form, limit: 1240 })).toEqual({ limit: 1240, deadband: null, on_delay_s: null, off_delay_s: null });
    expect(wishOf(POINT, { ...form, limit: Number.NaN })).toBeNull();
    expect(wishOf(POINT, { ...form, limit: "" as unknown as number })).toBeNull();
  });
  it("reaches as far as the engineer's bounds", () => {
    expect(reachOf(POINT, "limit")).toEqual({ min: 1200, max: 1265, step: 0.5, bound: true });
    expect(reachOf(POINT, "on_delay_s").max).toBe(20);
    expect(reachOf({ ...POINT, bounds: {} }, "limit").bound).toBe(false);
  });
});

describe("the gate's band", () => {
  it("keeps a count beyond it in the picture", () => {
    const beyond = bandOf({ alarms: 40, least: 0, most: 4, expected: 2 });
    expect(beyond.at).toBeGreaterThan(beyond.to);
    expect(beyond.at).toBeLessThan(100);
    expect(bandOf({ alarms: 0, least: 0, most: null, expected: null })).toMatchObject({ from: 0, to: 100, expected: null });
  });
});

describe("playbooks of the group", () => {
  const push = (site: string, counter: number) => ({ site, counter, kind: "release" as const, status: "applied", code: "", params: {}, version: 1, at: 0 });
  it("offers approval to others only", () => {
    expect(actsOf({ state: "proposed", created_by: "li" }, "li")).toEqual(["refuse"]);
    expect(actsOf({ state: "proposed", created_by: "li" }, "wang")).toEqual(["approve", "refuse"]);
    expect(actsOf({ state: "rolled_back", created_by: "li" }, "wang")).toEqual([]);
  });
  it("shows where it stands, and where it stopped", () => {
    const plan = { agreed_by: "wang", pushes: [push("f1", 1)], sites: ["f1", "f2"] };
    expect(bookLine({ ...plan, state: "canary" })).toEqual(["passed", "now", "ahead", "ahead"]);
    expect(bookLine({ ...plan, state: "refused" })).toEqual(["passed", "stopped", "ahead", "ahead"]);
    expect(bookLine({ ...plan, state: "done" })).toEqual(["passed", "passed", "passed", "passed"]);
  });
  it("names the newest push of each factory, the canary first", () => {
    const found = newestPushes({ pushes: [push("f2", 3), push("f1", 1), push("f1", 2)], sites: ["f1", "f2"] });
    expect(found.map((p) => [p.site, p.counter])).toEqual([["f1", 2], ["f2", 3]]);
  });
  it("knows a playbook by its roll-outs too", () => {
    expect(booksOf([], []).length).toBe(0);
  });
});

describe("links to factories", () => {
  it("are made of plain web addresses only", () => {
    expect(consoleLink("https://f1.example/andon", "/alarms")).toBe("https://f1.example/andon/#/alarms");
    for (const bad of ["javascript:alert(1)", "https://a:b@f1.example", "f1.example", ""]) expect(consoleLink(bad, "/alarms")).toBe("");
  });
});

it("a moment survives the field it is written in", () => {
  const now = Math.floor(Date.now() / 1000) * 1000;
  expect(fromLocal(toLocal(now))).toBe(now);
  expect(fromLocal("nonsense")).toBe(0);
});

it("of several for one edge only the newest is decided on", () => {
  expect(decidable({ status: "waiting", newer: null })).toBe(true);
  expect(decidable({ status: "waiting", newer: 5 })).toBe(false);
  expect(decidable({ status: "relayed", newer: null })).toBe(false);
});
