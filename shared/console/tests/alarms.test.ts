import { createPinia, setActivePinia } from "pinia";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { AlarmDelta, AlarmRow, AlarmSnapshot } from "@/api/types";
import { BANNER, row } from "./rows";
import { compareRows, isAudible, parseFilter } from "@/lib/alarmOrder";
import { useAlarms } from "@/stores/alarms";
import { itemsOf, useDesk } from "@/stores/desk";
import { useListView } from "@/stores/listView";

const snapshot = (seq: number, rows: AlarmRow[]): AlarmSnapshot => ({
  epoch: "e", seq, at: Date.now(), rows, banner: BANNER,
});
const delta = (seq: number, rows: AlarmRow[], removed: string[] = []): AlarmDelta => ({
  epoch: "e", seq, at: Date.now(), rows, removed, banner: BANNER,
});
const answers = (body: unknown, status = 200) =>
  vi.fn(async () => new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } }));

beforeEach(() => {
  setActivePinia(createPinia());
  vi.restoreAllMocks();
});

describe("the live picture", () => {
  it("merges deltas in order and drops what left", () => {
    const alarms = useAlarms();
    alarms.applySnapshot(snapshot(4, [row("A"), row("B")]));
    alarms.applyDelta(delta(5, [row("A", { acked: true, state: "acknowledged" }), row("C")], ["B"]));
    expect([...alarms.rows.keys()]).toEqual(["A", "C"]);
    expect(alarms.rows.get("A")?.acked).toBe(true);
    expect(alarms.position).toBe("e-5");
  });

  it("ignores a repeated delta and fetches the picture again on a gap", () => {
    const fetcher = answers(snapshot(9, [row("Z")]));
    vi.stubGlobal("fetch", fetcher);
    const alarms = useAlarms();
    alarms.applySnapshot(snapshot(4, [row("A")]));
    alarms.applyDelta(delta(4, [row("B")]));
    expect(alarms.rows.has("B")).toBe(false);
    expect(fetcher).not.toHaveBeenCalled();
    alarms.applyDelta(delta(6, [row("C")]));
    expect(alarms.rows.has("C")).toBe(false);
    expect(alarms.resyncs).toBe(1);
  });

  it("counts a new sound for a new occurrence and for a re-alarm, not for a repeated row", () => {
    const alarms = useAlarms();
    alarms.applySnapshot(snapshot(1, [row("A")]));
    expect(alarms.newSounding).toBe(1);
    alarms.applyDelta(delta(2, [row("A", { value: 5 })]));
    expect(alarms.newSounding).toBe(1);
    alarms.applyDelta(delta(3, [row("A", { version: 2, annunciated_version: 2 })]));
    expect(alarms.newSounding).toBe(2);
    alarms.applyDelta(delta(4, [row("A", { occurrence: "o2" })]));
    expect(alarms.newSounding).toBe(3);
  });
});

describe("the list's order", () => {
  it("is unacknowledged first, then priority, then newest", () => {
    const rows = [
      row("acked1", { acked: true, priority: 1, state: "acknowledged" }),
      row("low", { priority: 4 }),
      row("old", { priority: 2, raised_at: 1 }),
      row("new", { priority: 2, raised_at: 9 }),
    ];
    expect(rows.sort(compareRows).map((r) => r.alarm)).toEqual(["new", "old", "low", "acked1"]);
  });

  it("holds still under the pointer and gathers what is new", () => {
    const alarms = useAlarms();
    const view = useListView();
    alarms.applySnapshot(snapshot(1, [row("B"), row("C")]));
    view.pointerInside = true;
    alarms.applyDelta(delta(2, [row("A", { priority: 1 })]));
    expect(view.shown.map((r) => r.alarm)).toEqual(["B", "C"]);
    expect(view.fresh.map((r) => r.alarm)).toEqual(["A"]);
    view.release();
    expect(view.shown[0]?.alarm).toBe("A");
  });

  it("filters by tokens and hides what is suppressed until asked", () => {
    const hidden = row("H", { state: "suppressed", priority: 1 });
    const none = new Set<number>();
    expect(parseFilter("", none)(hidden)).toBe(false);
    expect(parseFilter("state:suppressed", none)(hidden)).toBe(true);
    expect(parseFilter("priority<=2", none)(row("L", { priority: 4 }))).toBe(false);
    expect(parseFilter("炉温", none)(row("T"))).toBe(true);
    expect(isAudible(row("R", { state: "rtn_unacknowledged", active: false }))).toBe(false);
  });
});

describe("acknowledging", () => {
  it("sends exactly the rendered occurrence and version, and never paints ahead", async () => {
    const fetcher = answers({ results: [{ occurrence: "o-A", accepted: true, code: "ok", params: {} }] });
    vi.stubGlobal("fetch", fetcher);
    const alarms = useAlarms();
    const desk = useDesk();
    alarms.applySnapshot(snapshot(1, [row("A", { version: 7 })]));
    const shown = [...alarms.rows.values()];
    expect(itemsOf(shown)).toEqual([{ alarm: "A", occurrence: "o-A", version: 7 }]);
    await desk.acknowledge(shown);
    const init = (fetcher.mock.calls as unknown as [string, RequestInit][])[0]?.[1];
    expect(JSON.parse(String(init?.body)).items[0].version).toBe(7);
    expect(new Headers(init?.headers).get("idempotency-key")).toMatch(/.{16,}/);
    expect(alarms.rows.get("A")?.acked).toBe(false);
    expect(desk.sending.has("A")).toBe(true);
    alarms.applyDelta(delta(2, [row("A", { version: 7, acked: true, state: "acknowledged" })]));
    expect(desk.sending.has("A")).toBe(false);
  });

  it("shows a refusal at its row with the server's reason", async () => {
    vi.stubGlobal("fetch", answers({ results: [{ occurrence: "o-A", accepted: false, code: "not_seen", params: { reason: "newer_version" } }] }));
    const alarms = useAlarms();
    const desk = useDesk();
    alarms.applySnapshot(snapshot(1, [row("A")]));
    await desk.acknowledge([...alarms.rows.values()]);
    expect(desk.refusals[0]).toMatchObject({ alarm: "A", code: "not_seen" });
    expect(desk.sending.size).toBe(0);
  });

  it("says so when the server cannot be reached", async () => {
    vi.stubGlobal("fetch", vi.fn(async () => { throw new TypeError("down"); }));
    const desk = useDesk();
    await desk.acknowledge([row("A")]);
    expect(desk.refusals[0]?.code).toBe("network");
  });
});
