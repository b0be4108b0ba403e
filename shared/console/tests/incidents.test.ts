import { createPinia, setActivePinia } from "pinia";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Incident, IncidentEntry, IncidentMember } from "@/api/types";
import { actsOf, byUrgency, delayOf, lanesUsed, restOf, uncertaintyOf, measuredOf } from "@/lib/incidents";
import { useIncidents } from "@/stores/incidents";

function incident(id: string, changes: Partial<Incident> = {}): Incident {
  return {
    id, status: "open", name: { zh: "炉温高", en: "Temperature high" }, first_at: 1000, last_at: 1000,
    first_out: ["A"], tie: false, asset: "FUR-01", asset_name: null, priority: 2, alarms: 1, standing: 1,
    unacked: 1, returned_at: null, settled: false, flood: false, owner: "", opened_at: 1000,
    acknowledged_at: null, acknowledged_by: "", contained_at: null, contained_by: "", closed_at: null,
    closed_by: "", cause: "", cause_name: null, outcome: "", reopened: 0, merged_into: null, ...changes,
  };
}
const entry = (changes: Partial<IncidentEntry> = {}): IncidentEntry => ({
  at: 1000, received_at: null, lane: "alarm", kind: "raised", params: {}, actor: null, tier: null, late: false,
  alarm: "A", ...changes,
});
const member = (alarm: string, uncertainty: number | null) =>
  ({ alarm, uncertainty_ms: uncertainty }) as IncidentMember;
const page = (items: Incident[]) =>
  new Response(JSON.stringify({ items, next: null }), { headers: { "content-type": "application/json" } });

beforeEach(() => {
  setActivePinia(createPinia());
  vi.restoreAllMocks();
});

describe("what may be done with an incident", () => {
  it("follows its status", () => {
    expect(actsOf(incident("1"))).toEqual(["acknowledge", "own", "contain", "merge", "note"]);
    expect(actsOf(incident("1", { status: "contained" }))).toContain("close");
    expect(actsOf(incident("1", { status: "closed" }))).toEqual(["reopen", "note"]);
    expect(actsOf(incident("1", { status: "merged" }))).toEqual([]);
  });
});

describe("the order of open incidents", () => {
  it("is what nobody has seen, then what is not over, then priority, then newest", () => {
    const rows = [
      incident("seen", { status: "acknowledged", priority: 1 }),
      incident("over", { settled: true, priority: 1 }),
      incident("old", { priority: 1, first_at: 1 }),
      incident("new", { priority: 1, first_at: 9 }),
      incident("low", { priority: 4, first_at: 99 }),
    ];
    expect(rows.sort(byUrgency).map((r) => r.id)).toEqual(["new", "old", "low", "over", "seen"]);
  });
});

describe("the live list", () => {
  it("takes what the stream says and drops what is closed or has become part of another", async () => {
    vi.stubGlobal("fetch", vi.fn(async () => page([incident("1"), incident("2")])));
    const store = useIncidents();
    await store.load();
    store.merge([incident("3"), incident("2", { status: "closed" })]);
    expect([...store.rows.keys()]).toEqual(["1", "3"]);
    expect(store.unseen).toBe(2);
    store.merge([incident("1", { status: "merged", merged_into: "3" })]);
    expect([...store.rows.keys()]).toEqual(["3"]);
  });
  it("keeps what the stream said while a page was on its way", async () => {
    let answer: (response: Response) => void = () => undefined;
    vi.stubGlobal("fetch", vi.fn(() => new Promise<Response>((done) => { answer = done; })));
    const store = useIncidents();
    const loading = store.load();
    store.merge([incident("1", { owner: "li" }), incident("2", { status: "closed" })]);
    answer(page([incident("1"), incident("2")]));
    await loading;
    expect(store.rows.get("1")?.owner).toBe("li");
    expect(store.rows.has("2")).toBe(false);
  });
});

describe("a time line's entry", () => {
  it("has the uncertainty of its alarm's clock, where it is about the plant", () => {
    const members = [member("A", 40), member("A", 120), member("B", null)];
    expect(uncertaintyOf(entry(), members)).toBe(120);
    expect(uncertaintyOf(entry({ params: { clock_uncertainty_ms: 12.4 } }), members)).toBe(12);
    expect(uncertaintyOf(entry({ alarm: "B" }), members)).toBeNull();
    expect(uncertaintyOf(entry({ lane: "people" }), members)).toBeNull();
  });
  it("says how late it came only where that is worth it", () => {
    expect(delayOf(entry({ received_at: 1400 }))).toBeNull();
    expect(delayOf(entry({ received_at: 61_000 }))).toBe(60_000);
    expect(delayOf(entry())).toBeNull();
  });
  it("leaves out what the line already shows", () => {
    const said = entry({ params: { text: "x", cause: "y", value: 3.14567, unit: "kPa", limit: 6, actor: "li", version: 2, step: "vent" } });
    expect(restOf(said)).toEqual({ step: "vent" });
    expect(measuredOf(said)).toBe("3.146 / 6 kPa");
    expect([...lanesUsed([entry(), entry({ lane: "cloud" })])]).toEqual(["alarm", "cloud"]);
  });
});
