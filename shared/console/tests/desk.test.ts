import { createPinia, setActivePinia } from "pinia";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { AlarmDelta, AlarmRow, HeldAlarm } from "@/api/types";
import { arrange, groupKey, type Line, pathTo } from "@/lib/arrange";
import { shelvePresets, showsIt, specOf } from "@/lib/deskActions";
import { byEnd, leftOf, shareLeft } from "@/lib/held";
import { type Mouth, Speaker, type Spoken } from "@/lib/speech";
import { told } from "@/lib/told";
import { useAlarms } from "@/stores/alarms";
import { useDesk } from "@/stores/desk";
import { useListView } from "@/stores/listView";
import { usePrefs } from "@/stores/prefs";
import { useSession } from "@/stores/session";
import { BANNER, row } from "./rows";

const CLOSED = new Set<string>();
const keys = (lines: readonly Line[]) => lines.map((line) => line.key);
const members = (lines: readonly Line[]): string[] =>
  lines.flatMap((line) => (line.kind === "group" ? line.rows.map((r) => r.alarm) : []));
const answers = (body: unknown) =>
  vi.fn(async () => new Response(JSON.stringify(body), { headers: { "content-type": "application/json" } }));
const snapshot = (rows: AlarmRow[], flood = false) => ({
  epoch: "e", seq: 1, at: Date.now(), rows, banner: { ...BANNER, flood },
});
const delta = (seq: number, rows: AlarmRow[], flood = false): AlarmDelta => ({
  epoch: "e", seq, at: Date.now(), rows, removed: [], banner: { ...BANNER, flood },
});

beforeEach(() => {
  setActivePinia(createPinia());
  vi.restoreAllMocks();
  localStorage.clear();
});

describe("the grouped list", () => {
  it("is flat unless asked, one line for each row", () => {
    const rows = [row("A", { incident: "i" }), row("B", { incident: "i", hidden_behind: "A" })];
    expect(keys(arrange(rows, false, CLOSED))).toEqual(["A", "B"]);
  });

  it("folds a chain of children behind the one that stands in front, and counts them", () => {
    const rows = [row("P"), row("C", { hidden_behind: "P" }), row("G", { hidden_behind: "C" })];
    const [only, ...none] = arrange(rows, true, CLOSED);
    expect(none).toEqual([]);
    expect(only).toMatchObject({ kind: "row", key: "P", behind: 2 });
    expect(keys(arrange(rows, true, new Set(["P"])))).toEqual(["P", "C", "G"]);
  });

  it("never folds what has returned, priority 1 and 2, or what has lost its parent", () => {
    const rows = [
      row("P"),
      row("BACK", { hidden_behind: "P", active: false, state: "rtn_unacknowledged" }),
      row("HIGH", { hidden_behind: "P", priority: 2 }),
      row("ALONE", { hidden_behind: "GONE" }),
    ];
    expect(keys(arrange(rows, true, CLOSED))).toEqual(["P", "BACK", "HIGH", "ALONE"]);
  });

  it("loses no row to two that stand behind each other", () => {
    const rows = [row("A", { hidden_behind: "B" }), row("B", { hidden_behind: "A" })];
    expect(keys(arrange(rows, true, CLOSED))).toEqual(["A", "B"]);
  });

  it("groups an incident under its first-out, with what is behind its members", () => {
    const rows = [
      row("TOP", { incident: "i", priority: 1, first_out: "first" }),
      row("A", { incident: "i" }),
      row("OTHER"),
      row("B", { incident: "i" }),
      row("C", { incident: "i", hidden_behind: "B" }),
      row("BACK", { incident: "i", active: false }),
    ];
    const lines = arrange(rows, true, CLOSED);
    expect(keys(lines)).toEqual(["TOP", groupKey("i"), "OTHER", "BACK"]);
    expect(members(lines)).toEqual(["A", "B", "C"]);
    expect(lines[1]).toMatchObject({ lead: { alarm: "TOP" } });
    const open = new Set(pathTo(rows, "C"));
    expect(keys(arrange(rows, true, open))).toEqual(["TOP", groupKey("i"), "A", "B", "C", "OTHER", "BACK"]);
  });

  it("drops nothing, whatever is folded into what", () => {
    for (let seed = 1; seed < 60; seed++) {
      let state = seed * 7919;
      const pick = (n: number) => {
        state = (state * 1103515245 + 12345) % 2147483648;
        return Math.floor((state / 2147483648) * n);
      };
      const rows = Array.from({ length: 25 }, (_, i) =>
        row(`A${i}`, {
          priority: 1 + pick(4), active: pick(5) > 0, incident: pick(3) ? `i${pick(4)}` : "",
          hidden_behind: pick(2) ? `A${pick(30)}` : "",
        }),
      );
      const lines = arrange(rows, true, CLOSED);
      const counted = lines.reduce(
        (sum, line) => sum + (line.kind === "row" ? 1 + line.behind : line.rows.length), 0,
      );
      expect(counted).toBe(rows.length);
      for (const one of rows.filter((r) => r.priority <= 2 || !r.active))
        expect(keys(lines)).toContain(one.alarm);
      const all = new Set([...rows.map((r) => r.alarm), ...[0, 1, 2, 3].map((i) => groupKey(`i${i}`))]);
      const unfolded = arrange(rows, true, all).filter((line) => line.kind === "row");
      expect(keys(unfolded).sort()).toEqual(rows.map((r) => r.alarm).sort());
    }
  });

  it("groups itself in a flood, but not while a person aims at a row", () => {
    const alarms = useAlarms();
    const view = useListView();
    const both = [row("A", { incident: "i" }), row("B", { incident: "i" })];
    alarms.applySnapshot(snapshot(both));
    expect(keys(view.lines)).toEqual(["A", "B"]);
    view.pointerInside = true;
    alarms.applyDelta(delta(2, both, true));
    expect(keys(view.lines)).toEqual(["A", "B"]);
    view.pointerInside = false;
    alarms.applyDelta(delta(3, both, true));
    expect(keys(view.lines)).toEqual([groupKey("i")]);
    // What is folded is not acted upon, and a jump unfolds it.
    view.ticked = new Set(["A"]);
    expect(view.targets()).toEqual([]);
    view.ticked = new Set();
    view.moveTo("B");
    expect(keys(view.lines)).toEqual([groupKey("i"), "A", "B"]);
    expect(view.targets().map((r) => r.alarm)).toEqual(["B"]);
    usePrefs().grouping = "off";
  });

  it("ticks the rows between two of them, not the heads of groups", () => {
    const alarms = useAlarms();
    const view = useListView();
    usePrefs().grouping = "on";
    alarms.applySnapshot(snapshot([
      row("Z", { priority: 1 }), row("A", { incident: "i" }), row("B", { incident: "i" }), row("Y", { priority: 4 }),
    ]));
    view.moveTo("Z");
    view.extendTo("Y");
    expect([...view.ticked]).toEqual(["Z", "Y"]);
  });
});

describe("actions of the desk", () => {
  it("offers no preset beyond the alarm's longest shelving time", () => {
    expect(shelvePresets(60)).toEqual([5, 15, 30, 60]);
    expect(shelvePresets(45)).toEqual([5, 15, 30, 45]);
    expect(shelvePresets(2)).toEqual([2]);
    expect(Math.max(...shelvePresets(null))).toBe(480);
  });

  it("does not offer to bring back what a rule suppresses", () => {
    expect(specOf("unsuppress").fits(row("A", { suppressed_by: ["state"] }))).toBe(false);
    expect(specOf("unsuppress").fits(row("A", { suppressed_by: ["operator"] }))).toBe(true);
  });

  it("is under way until the row shows it", () => {
    const before = row("A");
    expect(showsIt("shelve", before, row("A", { value: 7 }))).toBe(false);
    expect(showsIt("shelve", before, row("A", { pending: ["shelve"] }))).toBe(true);
    expect(showsIt("shelve", before, row("A", { state: "shelved" }))).toBe(true);
    expect(showsIt("comment", before, row("A", { comments: 1 }))).toBe(true);
    expect(showsIt("assign", before, row("A", { assigned_to: "li" }), "wang")).toBe(false);
    expect(showsIt("assign", before, row("A", { assigned_to: "li" }), "li")).toBe(true);
  });

  it("answers row by row, also for alarms that never had an occurrence", async () => {
    const results = [
      { occurrence: "", accepted: false, code: "safety_alarm", params: {} },
      { occurrence: "", accepted: true, code: "ok", params: {} },
    ];
    vi.stubGlobal("fetch", answers({ results }));
    const desk = useDesk();
    const at = (alarm: string) => ({ alarm, occurrence: "", version: 0, tag: alarm });
    expect(await desk.act("suppress", [at("S"), at("T")], { reason: "x" })).toBe(false);
    expect(desk.refusals.map((r) => [r.alarm, r.code, r.action])).toEqual([["S", "safety_alarm", "suppress"]]);
    // No row will ever tell of it: it is not shown as under way for ever.
    expect(desk.sending.size).toBe(0);
  });

  it("tells the one who asked what the edge refused afterwards, once", () => {
    const alarms = useAlarms();
    const desk = useDesk();
    useSession().session = { user: "wang" } as never;
    alarms.applySnapshot(snapshot([row("A")]));
    const refused = { action: "shelve", code: "Bad_ConditionDisabled", actor: "wang", at: Date.now() + 5 };
    alarms.applyDelta(delta(2, [row("A", { refused })]));
    expect(desk.refusals).toMatchObject([{ alarm: "A", edge: true, code: "Bad_ConditionDisabled" }]);
    desk.dismiss();
    alarms.applyDelta(delta(3, [row("A", { refused, value: 3 }), row("B", { refused: { ...refused, actor: "li" } })]));
    expect(desk.refusals).toEqual([]);
  });
});

describe("what is kept from people", () => {
  const held = (alarm: string, until: number | null, since: number | null = 0) =>
    ({ alarm, until, since, priority: 3 }) as HeldAlarm;

  it("shows first what ends first, a permit that is over on top, what never ends last", () => {
    const items = [held("never", null), held("late", 900), held("over", 50), held("soon", 300)];
    expect(items.sort(byEnd).map((one) => one.alarm)).toEqual(["over", "soon", "late", "never"]);
    expect(leftOf(held("over", 50), 100)).toBe(-50);
    expect(shareLeft(held("half", 200), 100)).toBe(0.5);
    expect(shareLeft(held("over", 50), 100)).toBe(0);
    expect(shareLeft(held("never", null), 100)).toBeNull();
  });
});

describe("the timeline", () => {
  it("tells of an alarm's change what people can use, and keeps identifiers out", () => {
    const entry = {
      at: 1, received_at: 2, lane: "process", kind: "alarm.raised", actor: null, tier: "edge", late: false,
      params: { alarm: "A", occurrence: "o", version: 3, value: 5.81, limit: 6, unit: "kPa", quality: "stale" },
    } as const;
    expect(told(entry)).toEqual({ lane: "alarm", kind: "raised", words: "5.81 / 6 kPa", rest: { quality: "stale" } });
    const shelve = { ...entry, lane: "people", kind: "shelve", params: { ms: 1_800_000, reason: "swap" } } as const;
    expect(told(shelve)).toMatchObject({ kind: "shelve", words: "30m · “swap”", rest: {} });
  });
});

describe("the voice", () => {
  const spoken = (n: number, priority = 3): Spoken => ({
    text: { zh: `${n}`, en: `${n}` }, priority, count: 1, alarm: `a${n}`, at: n,
  });

  it("says one at a time, the worst first, and a crowd as one sentence", () => {
    const said: string[] = [];
    const ends: (() => void)[] = [];
    const mouth: Mouth = {
      say: (text, done) => { said.push(text); ends.push(done); },
      cancel: () => undefined,
      one: (text) => text.en,
      more: (count, worst) => `${count} more, worst ${worst}`,
    };
    const speaker = new Speaker(mouth);
    for (const [n, priority] of [[1, 3], [2, 4], [3, 1]] as const) speaker.hear(spoken(n, priority));
    expect(said).toEqual(["1"]);
    ends[0]?.();
    ends[0]?.(); // the end told twice starts nothing twice
    expect(said).toEqual(["1", "3"]);
    for (const n of [4, 5, 6]) speaker.hear(spoken(n));
    ends[1]?.();
    expect(said[2]).toBe("4 more, worst 3");
    speaker.stop();
    ends[2]?.();
    speaker.hear(spoken(9));
    expect(said[3]).toBe("9");
  });
});
