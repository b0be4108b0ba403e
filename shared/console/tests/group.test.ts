import { createPinia, setActivePinia } from "pinia";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Assignment, Comparison, Evidence, FleetEdge, FleetFactory, GroupEvent, Resource, RolloutResult, RolloutStage, RolloutSummary } from "@/api/types";
import { compared } from "@/lib/comparison";
import { dayBars, pairs } from "@/lib/compared";
import { able, clocks, dispatchOrder, movesOf, wordsOf } from "@/lib/dispatch";
import { asksNothing, fleetSum, pushRequest, troubles } from "@/lib/groupFleet";
import { bandColumns, faultTold, marksOf } from "@/lib/history";
import { occasions, span } from "@/lib/occasions";
import { dayName, lastDays } from "@/lib/period";
import { lineOf } from "@/lib/rolloutLine";
import { mayAgree, rehearsals, rolloutOrder } from "@/lib/rollouts";
import { useGroup } from "@/stores/group";
import { useMail } from "@/stores/mail";

describe("the line of a roll-out's stages", () => {
  it("follows from the state where nothing more is known", () => {
    expect(lineOf("canary_line", "canary_line").map((s) => s.mark)).toEqual(["passed", "passed", "now", "ahead", "ahead"]);
    expect(lineOf("paused", "shadow").map((s) => s.mark)).toEqual(["passed", "paused", "ahead", "ahead", "ahead"]);
    expect(lineOf("rolled_back", "canary_line")[2]?.mark).toBe("stopped");
    expect(lineOf("waiting", null).every((s) => s.mark === "ahead")).toBe(true);
    expect(lineOf("done", "all").every((s) => s.mark === "passed")).toBe(true);
    expect(lineOf("done", "canary_line").map((s) => s.mark)).toEqual(["passed", "passed", "passed", "skipped", "skipped"]);
  });
  it("shows what was told of each, and never a stage as under way that is being taken back", () => {
    const stages = [
      { stage: "dry_run", state: "skipped" }, { stage: "canary_line", state: "now" },
    ] as RolloutStage[];
    expect(lineOf("canary_line", "canary_line", stages).map((s) => s.mark)).toEqual(["skipped", "now"]);
    expect(lineOf("rolling_back", "canary_line", stages)[1]?.mark).toBe("stopped");
    expect(lineOf("paused", "canary_line", stages)[1]?.mark).toBe("paused");
  });
});

describe("roll-outs", () => {
  it("stand with what is under way on top", () => {
    const of = (id: string, state: string, created_at: number) => ({ id, state, created_at }) as RolloutSummary;
    const all = [of("a", "done", 9), of("b", "shadow", 1), of("c", "rolled_back", 10), of("d", "paused", 2)];
    expect(all.sort(rolloutOrder).map((r) => r.id)).toEqual(["d", "b", "c", "a"]);
  });
  it("take the newest trial of each point, and none that was refused", () => {
    const trial = (counter: number, now: number, status = "applied") =>
      ({ kind: "dry_run", status, site: "f1", edge: "e1", counter, params: { alarms: { A: { now: [now, 1], new: [2, 0], coverage_s: 7200 } } } }) as unknown as RolloutResult;
    const found = rehearsals([trial(3, 30), trial(2, 20), trial(9, 90, "refused")]);
    expect(found.get("f1/e1/A")).toEqual({ old: 30, next: 2, hours: 2 });
    expect(rehearsals([{ ...trial(1, 1), params: { alarms: { A: { now: "x" } } } }]).get("f1/e1/A")).toEqual({ old: null, next: null, hours: 0 });
  });
  it("are agreed to by another person than who began them", () => {
    const plan = { state: "waiting", actions: ["agree", "abort"], created_by: "li" } as const;
    expect(mayAgree({ ...plan, actions: [...plan.actions] }, "li")).toBe(false);
    expect(mayAgree({ ...plan, actions: [...plan.actions] }, "wang")).toBe(true);
    expect(mayAgree({ ...plan, actions: ["pause"] }, "wang")).toBe(false);
  });
});

describe("a proposal's picture", () => {
  const evidence = { vanish: ["o1"], later: ["o2"] } as Evidence;
  const event = (occurrence: string, kind: string, body: Record<string, unknown>) => ({ occurrence, body: { kind, ...body } }) as unknown as GroupEvent;
  it("makes one occurrence of all its events, whatever their order", () => {
    const found = occasions(
      [
        event("o2", "returned", { raised_at: 50, returned_at: 80, value: 1 }),
        event("o2", "raised", { raised_at: 50, value: 9 }),
        event("o1", "raised", { raised_at: 10, value: 7 }),
        { occurrence: "o3", body: { label: "nuisance" } } as unknown as GroupEvent,
      ],
      evidence,
    );
    expect(found).toEqual([
      { occurrence: "o1", raised: 10, returned: null, value: 7, fate: "vanish" },
      { occurrence: "o2", raised: 50, returned: 80, value: 9, fate: "later" },
    ]);
  });
  it("has both limits inside", () => {
    expect(span([5, null, 6])).toEqual([4.85, 6.15]);
    expect(span([])).toEqual([0, 1]);
  });
  it("holds now against proposed, and shows nothing of what nobody knows", () => {
    const none = { alarms_per_day: null, false_per_day: null, false_alarms: null, missed: null, delay_s: null, standing_h_per_day: null };
    const [alarms, missed, delay] = pairs({ bars: { now: { ...none, false_alarms: 12, missed: 0 }, proposed: { ...none, false_alarms: 3, missed: 0, delay_s: 2 } } });
    expect([alarms?.key, alarms?.now, alarms?.next, alarms?.nowShare, alarms?.nextShare]).toEqual(["false_alarms", 12, 3, 1, 0.25]);
    expect([missed?.nowShare, missed?.nextShare]).toEqual([0, 0]);
    expect([delay?.now, delay?.next]).toEqual([null, 2]);
    expect(pairs({ bars: { now: none, proposed: none } })).toEqual([]);
    expect(pairs({ bars: null })).toEqual([]);
  });
  it("draws each day on the scale of the worst", () => {
    const day = (n: number, now: number | null, proposed: number | null) => ({ day: n, mean: 0, sigma: 1, now, proposed });
    expect(dayBars([day(1, 8, 2), day(2, null, 0)]).map((d) => [d.nowShare, d.nextShare])).toEqual([[1, 0.25], [0, 0]]);
  });
  it("breaks the curve where the factory has no samples", () => {
    expect(bandColumns([[0, 1, 2], [1000, 1, 3], [9000, 4, 5]])).toEqual([[0, 1, 2, 9], [1, 1, null, 4], [2, 3, null, 5]]);
    expect(bandColumns([])).toEqual([[], [], []]);
  });
  it("says of each fault how people are told of it", () => {
    expect([faultTold(10, 30), faultTold(10, null), faultTold(null, 5), faultTold(null, null), faultTold(9, 9), faultTold(9, 3)])
      .toEqual(["later", "lost", "caught", "never", "same", "sooner"]);
    expect(marksOf({ until: 99, later: [{ raised_at: 50, cleared_at: null, told_at: 60 }], vanish: [{ raised_at: 70, cleared_at: 80, told_at: null }] }).map((m) => [m.kind, m.at, m.until]))
      .toEqual([["later", 50, 99], ["vanish", 70, 80]]);
  });
});

describe("dispatch", () => {
  const of = (id: string, state: string, accept_by: number, on_site_by: number) => ({ id, state, accept_by, on_site_by, offered_at: 0 }) as Assignment;
  it("runs the clocks of what is still to come", () => {
    expect(clocks(of("a", "offered", 100, 900), 150)).toEqual([
      { what: "accept", left: -50, over: true }, { what: "arrive", left: 750, over: false },
    ]);
    expect(clocks(of("a", "en_route", 100, 900), 900)).toEqual([{ what: "arrive", left: 0, over: true }]);
    expect(clocks(of("a", "on_site", 100, 200), 900)).toEqual([]);
  });
  it("puts the nearest deadline on top", () => {
    const all = [of("far", "offered", 900, 2000), of("there", "on_site", 1, 2), of("late", "en_route", 1, 300)];
    expect(all.sort(dispatchOrder(400)).map((a) => a.id)).toEqual(["late", "far", "there"]);
  });
  it("offers only what the life of an assignment allows", () => {
    expect(movesOf("accepted")).toEqual(["depart", "arrive", "decline", "cancel"]);
    expect(movesOf("done")).toEqual([]);
  });
  it("finds who is free and able, at the site first", () => {
    const r = (id: string, site: string, skills: string[], more = {}) => ({ id, site, skills, available: true, busy: false, ...more }) as Resource;
    const all = [r("b", "f2", ["电气", "泵"]), r("a", "f1", ["电气"]), r("c", "f1", ["电气"], { busy: true }), r("d", "f1", ["泵"])];
    expect(able(all, ["电气"], "f2").map((x) => x.id)).toEqual(["b", "a"]);
    expect(wordsOf("电气，泵 电气")).toEqual(["电气", "泵"]);
  });
});

describe("the comparison", () => {
  it("marks who stands out among its kind alone", () => {
    const f = (site: string, rate: number, labelled = 0) => ({ site, points: 1, raised: 1, annunciated: 1, per_point_and_day: rate, standing_h: 0, labelled, nuisance: labelled / 2 });
    const found = compared({ by: "process", since_day: 0, until_day: 1, kinds: [{ kind: "lone", factories: [f("x", 9)] }, { kind: "many", factories: [f("a", 1), f("b", 1, 4), f("c", 5)] }] } as Comparison);
    expect(found.map((k) => k.kind)).toEqual(["many", "lone"]);
    expect(found[0]?.rows.map((r) => [r.site, r.stands, r.share, r.nuisance])).toEqual([["c", true, 1, null], ["a", false, 0.2, null], ["b", false, 0.2, 0.5]]);
    expect(found[1]?.rows[0]?.stands).toBe(false);
  });
  it("counts whole days, today included", () => {
    expect(lastDays(7, 20_778 * 86_400_000 + 5)).toEqual({ since: 20_772, until: 20_778 });
    expect(dayName(0)).toBe("01-01");
  });
});

describe("the fleet", () => {
  const edge = (more = {}) => ({ edge: "e1", online: true, drifts: false, journal_degraded: false, buffered: 2, clock_offset_ms: -3, drivers: { d: "connected" }, ...more }) as unknown as FleetEdge;
  it("adds up, and says of each edge what is not well", () => {
    expect(fleetSum([{ online: true, buffered: 5, edges: [edge(), edge({ online: false, drifts: true })] } as unknown as FleetFactory])).toEqual({ factories: 1, online: 1, edges: 2, edgesOnline: 1, drifts: 1, backlog: 9 });
    expect(troubles(edge())).toEqual([]);
    expect(troubles(edge({ clock_offset_ms: -800, drivers: { d: "down" } }))).toEqual(["clock", "driver"]);
    expect(troubles(edge({ clock_offset_ms: null }))).toEqual([]);
  });
  it("leaves as it is what the form leaves empty, and tells zero from empty", () => {
    const form = { sites: [], alarm: " *.HI ", tagClass: "", side: "", onDelay: 0, offDelay: "", deadband: "", steps: "" } as const;
    const asked = pushRequest({ ...form, sites: [] }, "why", "d1");
    expect([asked.alarm, asked.on_delay_s, asked.off_delay_s, asked.deadband_factor, asked.reason, asked.expect]).toEqual(["*.HI", 0, null, null, "why", "d1"]);
    expect(asksNothing({ ...form, sites: [] })).toBe(false);
    expect(asksNothing({ ...form, sites: [], onDelay: "" })).toBe(true);
  });
});

describe("the stores", () => {
  beforeEach(() => {
    setActivePinia(createPinia());
    vi.unstubAllGlobals();
  });
  const frame = (event: string, data: unknown) => ({ event, id: "", data: JSON.stringify(data) });
  const answers = (body: unknown) =>
    new Response(JSON.stringify(body), { headers: { "content-type": "application/json" } });

  it("take each section whole from the stream", () => {
    const group = useGroup();
    expect(group.rollouts).toBeNull();
    group.onEvent(frame("rollouts", { rollouts: [{ id: "r1" }] }));
    group.onEvent(frame("urgency", { factories: [{ site: "f1" }] }));
    group.onEvent(frame("rollouts", { rollouts: [] }));
    expect([group.rollouts, group.urgency?.length]).toEqual([[], 1]);
    group.onEvent(frame("heartbeat", { at: Date.now() + 60_000 }));
    expect(Math.round(group.clockAhead / 1000)).toBe(60);
  });
  it("drop an answer that the stream has overtaken", async () => {
    const group = useGroup();
    vi.stubGlobal("fetch", async () => {
      group.onEvent(frame("assignments", { assignments: [{ id: "new" }] }));
      return answers({ assignments: [{ id: "old" }] });
    });
    await group.refresh("assignments");
    expect(group.assignments?.map((a) => a.id)).toEqual(["new"]);
  });
  it("show the desk's mail until somebody has acknowledged it, the most urgent first", async () => {
    const mail = useMail();
    const message = (id: string, priority: number, acked_at: number | null = null) => ({ id, priority, acked_at, at: 1 });
    mail.take({ messages: [message("a", 3), message("b", 1), message("c", 1, 5)] } as never);
    expect(mail.waiting.map((m) => m.id)).toEqual(["b", "a"]);
    vi.stubGlobal("fetch", async () => answers({ messages: [message("a", 3), message("b", 1, 9)] }));
    await mail.acknowledge("b", "好");
    expect(mail.waiting.map((m) => m.id)).toEqual(["a"]);
  });
});
