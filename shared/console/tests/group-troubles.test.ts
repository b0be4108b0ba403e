// The group's picture when a part of it fails; notices of one factory and closed ones; tries that
// nobody answers; a model of early warning in each of its states.
import { flushPromises, mount } from "@vue/test-utils";
import { createPinia, setActivePinia } from "pinia";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createMemoryHistory, createRouter } from "vue-router";
import type { EarlyModel, Notice } from "@/api/types";
import PartTrouble from "@/components/PartTrouble.vue";
import WarningModel from "@/components/WarningModel.vue";
import { i18n } from "@/locales";
import EarlyWarningsScreen from "@/screens/EarlyWarningsScreen.vue";
import NoticesScreen from "@/screens/NoticesScreen.vue";
import TryScreen from "@/screens/TryScreen.vue";
import { useGroup } from "@/stores/group";
import { useSession } from "@/stores/session";

type Answer = unknown | (() => unknown);
let answers: Record<string, Answer> = {};
let asked: string[] = [];
const of = (method: string, path: string) => asked.filter((one) => one === `${method} ${path}`).length;
const reply = (body: unknown, status = 200) => new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } });
const frame = (event: string, data: unknown) => ({ event, id: "", data: JSON.stringify(data) });

beforeEach(() => {
  setActivePinia(createPinia());
  i18n.global.locale.value = "zh-CN";
  answers = {
    "/api/factories": { factories: [{ site: "f1", name: { zh: "一厂", en: "One" }, unacked: 0, active: 0, online: true }] },
    "/api/proposals": { proposals: [{ id: "p1", status: "open", created_at: 1 }] },
  };
  asked = [];
  vi.stubGlobal("fetch", async (path: string, init: RequestInit) => {
    asked.push(`${init.method} ${path}`);
    const found = answers[`${init.method} ${path}`] ?? answers[path];
    const body = typeof found === "function" ? found() : found;
    if (body === undefined) return reply({ code: "http_500", params: {} }, 500);
    return reply(body);
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const router = () => createRouter({
  history: createMemoryHistory(),
  routes: [{ path: "/notices/:tab?", component: NoticesScreen, props: true }, { path: "/:any(.*)", component: { template: "<p />" } }],
});
const who = (user: string, ...actions: string[]) => {
  useSession().session = { user, actions } as never;
};

describe("a part of the group's picture that fails", () => {
  it("hides no other part, says so by itself, and is asked again with a sign of life", async () => {
    vi.useFakeTimers();
    for (const path of ["/api/rollouts", "/api/dispatch/factories", "/api/dispatch/assignments?live=true", "/api/dispatch/messages", "/api/group/floods", "/api/early-warnings", "/api/shelving-proposals"]) answers[path] = {};
    const group = useGroup();
    await group.load();
    expect([group.factories.length, group.proposals.length, group.loaded, group.judged]).toEqual([1, 1, true, true]);
    expect(asked.slice(0, 2)).toEqual(["GET /api/factories", "GET /api/proposals"]);
    expect(Object.keys(group.troubles)).toEqual(["notices"]);
    const strip = mount(PartTrouble, { props: { of: ["rollouts", "notices"] }, global: { plugins: [i18n] } });
    expect(strip.findAll("[data-testid=part-trouble]").map((one) => one.attributes("data-part"))).toEqual(["notices"]);
    expect(strip.text()).toContain("没能读取漂移通知");
    group.onEvent(frame("heartbeat", {}));
    expect(of("GET", "/api/notices")).toBe(1); // not at every sign of life
    vi.advanceTimersByTime(5_000);
    answers["/api/notices"] = { notices: [], more: 4 };
    group.onEvent(frame("urgency", { factories: [] }));
    await flushPromises();
    expect([of("GET", "/api/notices"), of("GET", "/api/factories")]).toEqual([2, 1]);
    expect([group.troubles, group.notices, group.noticesMore]).toEqual([{}, [], 4]);
    expect(strip.text()).toBe("");
  });
  it("is over once the stream tells it", async () => {
    const group = useGroup();
    await group.load(["notices"]);
    expect(Object.keys(group.troubles)).toEqual(["notices"]);
    group.onEvent(frame("notices", { notices: [] }));
    expect(group.troubles).toEqual({});
  });
  it("an act's answer gives way to what the stream told meanwhile", async () => {
    const group = useGroup();
    answers["/api/notices"] = { notices: [{ id: "fresh" }] };
    await group.acted("notices", async () => ({ notices: [{ id: "own" }] }));
    expect(group.notices?.map((n) => n.id)).toEqual(["own"]);
    await group.acted("notices", async () => {
      group.onEvent(frame("notices", { notices: [{ id: "stream" }] }));
      return { notices: [{ id: "own" }] };
    });
    expect(group.notices?.map((n) => n.id)).toEqual(["fresh"]);
  });
});

const NOTICE = {
  id: "n1", site: "f1", site_name: { zh: "一厂", en: "One" }, what: "alarms", alarm: "A.HI", name: { zh: "炉温高", en: "hot" }, edge: "e1", day: 20_000,
  before: 1, now: 9, trend: [], state: "closed", opened_at: 1, taken_at: null, taken_by: "", closed_at: 2, closed_by: "li", reason: "阀",
} as Notice;

describe("the screen of notices", () => {
  async function at(path: string) {
    const to = router();
    await to.push(path);
    const page = mount({ template: "<RouterView />" }, { global: { plugins: [i18n, to] } });
    await flushPromises();
    return { page, to };
  }
  const has = (page: ReturnType<typeof mount>, id: string) => page.find(`[data-testid=${id}]`).exists();

  it("tells loading, failed and empty apart for closed ones, and reads them again after a close", async () => {
    const group = useGroup();
    group.onEvent(frame("notices", { notices: [] }));
    const { page } = await at("/notices");
    expect(has(page, "no-notices")).toBe(true);
    await page.find("[data-testid=closed-ones]").setValue(true);
    expect([has(page, "notices-loading"), has(page, "no-notices")]).toEqual([true, false]);
    await flushPromises();
    expect([has(page, "notices-failed"), has(page, "no-notices"), has(page, "notices-loading")]).toEqual([true, false, false]);
    answers["/api/notices?state=closed"] = { notices: [], more: 0 };
    await page.find("[data-testid=notices-failed] button").trigger("click");
    await flushPromises();
    expect(has(page, "no-notices")).toBe(true);
    answers["/api/notices?state=closed"] = { notices: [NOTICE], more: 7 };
    group.onEvent(frame("notices", { notices: [] })); // something was closed
    await flushPromises();
    expect([page.findAll("[data-testid=notice]").length, page.find("[data-testid=notices-more]").text()]).toEqual([1, "另有 7 条没有列出，请按工厂筛选。"]);
  });
  it("names the one factory that it shows, keeps no other's rows, and leads out", async () => {
    await useGroup().load(["factories"]);
    const point = { site: "f1", alarm: "A.HI", edge: "e1", name: { zh: "炉温高", en: "" }, priority: 4, probability: 0.9, low: 0.8, high: 1, labels: 4, nuisance: 3, raised: 2, last_true_at: null, because: [] };
    answers["/api/nuisance?site=f1"] = { models: [], points: [point], more: 0, models_more: 0 };
    const { page, to } = await at("/notices/nuisance?site=f1");
    expect([page.find("[data-testid=only-site]").text(), page.findAll("[data-testid=nuisance-point]").length]).toEqual(["只显示一厂", 1]);
    await to.push("/notices/nuisance?site=f2");
    await flushPromises();
    expect(page.find("[data-testid=only-site]").text()).toBe("只显示f2");
    expect([page.findAll("[data-testid=nuisance-point]").length, page.find(".problem").exists()]).toEqual([0, true]);
    await page.find("[data-testid=all-sites]").trigger("click");
    await flushPromises();
    expect([to.currentRoute.value.fullPath, has(page, "only-site")]).toEqual(["/notices/nuisance", false]);
  });
});

describe("a try that the factory does not answer", () => {
  const POINT = { site: "f1", edge: "e1", alarm: "A.HI", line: "L1", name: { zh: "炉温高", en: "" }, side: "high", unit: "°C", setting: { limit: 6, deadband: 0.4, on_delay_s: 2, off_delay_s: 2 }, bounds: {} };
  const asking = { proposal: "try-1", status: "asked", points: [], vanish: [], later: [], faults: [] };
  const page = () => mount(TryScreen, { props: { site: "f1", alarm: "A.HI" }, global: { plugins: [i18n, router()], stubs: { TryPlot: true } } });

  it("is asked again, looked at more seldom, and given up after two minutes with a way on", async () => {
    vi.useFakeTimers();
    who("li", "propose_setting");
    answers["/api/tunable-points?site=f1"] = { points: [POINT] };
    answers["POST /api/setting-tries"] = { id: "try-1", refusal: null, history: asking };
    answers["/api/setting-tries/try-1"] = asking;
    const shown = page();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(of("POST", "/api/setting-tries")).toBe(1);
    expect(of("GET", "/api/setting-tries/try-1")).toBeLessThan(45);
    await vi.advanceTimersByTimeAsync(40_000);
    expect(of("POST", "/api/setting-tries")).toBe(2);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(shown.find("[data-testid=try-state]").text()).toContain("工厂两分钟内没有答复");
    const looked = asked.length;
    await vi.advanceTimersByTimeAsync(300_000);
    expect(asked.length).toBe(looked);
    await shown.find("[data-testid=try-again]").trigger("click");
    await vi.advanceTimersByTimeAsync(1_500);
    expect([of("POST", "/api/setting-tries"), shown.find("[data-testid=try-state]").attributes("data-silent")]).toEqual([3, "false"]);
    shown.unmount();
  });
});

describe("a model of early warning", () => {
  const MODEL: EarlyModel = {
    id: "m1", tenant: "t", plant: "p", line: "L1", tags: ["T1", "T2"], sites: ["f1"], status: "proposed", figures: { auc: 0.812, faults: 9, days: 60 }, created_at: 1,
    first_by: "", decided_by: "", decided_at: null, reason: "", two_people: false, where: [],
  };
  const shown = (more: Partial<EarlyModel>) => mount(WarningModel, { props: { model: { ...MODEL, ...more } }, global: { plugins: [i18n] } });
  const acts = (page: ReturnType<typeof shown>) => page.findAll("[data-testid^=act-]").map((one) => one.attributes("data-testid")?.slice(4));

  it("offers in each state what may be decided, and to whom", () => {
    who("li", "decide_proposal");
    expect(acts(shown({}))).toEqual(["approve", "reject"]);
    expect(acts(shown({ status: "first_approved", first_by: "wang", two_people: true }))).toEqual(["approve", "reject"]);
    const mine = shown({ status: "first_approved", first_by: "li", two_people: true });
    expect(acts(mine)).toEqual(["reject"]);
    expect(mine.text()).toContain("第一人：li");
    expect(acts(shown({ status: "approved" }))).toEqual(["withdraw"]);
    for (const status of ["rejected", "withdrawn", "replaced"] as const) expect(acts(shown({ status, decided_by: "wang", reason: "太吵" }))).toEqual([]);
    who("zhao", "view");
    expect(acts(shown({}))).toEqual([]);
  });
  it("says by whom and why it was refused or withdrawn, and what became of it at each factory", async () => {
    await useGroup().load(["factories"]);
    const refused = shown({ status: "rejected", decided_by: "wang", decided_at: 5, reason: "太吵" });
    expect(refused.find("header").text()).toContain("已驳回");
    expect(refused.find("header").text()).toMatch(/wang[\s\S]*太吵/);
    const where = (site: string, status: string, more = {}) => ({ site, kind: "model" as const, status, counter: 1, code: "", params: {}, expires_at: 9, at: 3, ...more });
    const two = shown({ status: "approved", sites: ["f1", "f2"], where: [where("f1", "applied"), where("f2", "refused", { code: "stale_order", params: {} })] });
    const rows = two.findAll("[data-testid=warning-where]").map((one) => one.text());
    expect(rows[0]).toContain("一厂");
    expect(rows[0]).toContain("已应用");
    expect(rows[1]).toContain("被拒绝");
    expect(two.findAll("[data-testid=warning-where] .problem").length).toBe(1);
  });
  it("a decision that was taken stands, though the list cannot be read again", async () => {
    who("li", "decide_proposal");
    answers["POST /api/early-warnings/m1/decision"] = { ...MODEL, status: "approved" };
    const page = shown({});
    await page.find("[data-testid=act-approve]").trigger("click");
    expect(page.find("[data-testid=why-approve]").attributes("maxlength")).toBe("500");
    await page.find("[data-testid=why-approve]").setValue(" 好 ");
    await page.find("form").trigger("submit");
    await flushPromises();
    expect(page.find("[data-testid=refused-approve]").exists()).toBe(false);
    expect(Object.keys(useGroup().troubles)).toEqual(["early_warnings"]);
  });
  it("the page shows the first model and what a learner lacks", () => {
    useGroup().onEvent(frame("early_warnings", { models: [MODEL], wanted: { faults: 8 }, learners: [{ tenant: "t", plant: "p", line: "L2", tags: [], sites: ["f1"], windows: 40, waiting: 2, figures: { faults: 3 }, lacks: ["faults"], at: 1 }] }));
    const page = mount(EarlyWarningsScreen, { global: { plugins: [i18n] } });
    expect(page.find("[data-testid=warning-detail]").attributes("data-state")).toBe("proposed");
    expect(page.find("[data-testid=warning-learner]").text()).toContain("故障 ≥ 8");
  });
});
