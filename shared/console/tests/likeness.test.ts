import { mount } from "@vue/test-utils";
import { createPinia, setActivePinia } from "pinia";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { GroupFlood, GroupIncident, Likeness } from "@/api/types";
import FloodLikeness from "@/components/FloodLikeness.vue";
import GroupIncidentBox from "@/components/GroupIncidentBox.vue";
import GroupIncidentTable from "@/components/GroupIncidentTable.vue";
import { trusted } from "@/lib/likeness";
import { i18n } from "@/locales";
import { useGroup } from "@/stores/group";

const KNOWN: Likeness = {
  state: "known", why: "", trust: 0.7499, horizon_min: 40, at: 5, remembered: 30,
  nearest: {
    site: "p2", site_name: { zh: "二厂", en: "Plant two" }, incident: "i", at: Date.UTC(2026, 4, 3), cause: "valve",
    cause_name: { zh: "阀门卡住", en: "Valve stuck" }, done: [{ playbook: "mend-valve", ok: true }], words: "换了<b>阀</b>",
    took_min: 95, similarity: 0.8,
  },
};
const other = (more: Partial<Likeness>): Likeness => ({ ...KNOWN, state: "unknown", nearest: null, ...more });
const shown = (likeness: Likeness, causes?: Map<string, string>) =>
  mount(FloodLikeness, { props: { likeness, causes }, global: { plugins: [i18n] } }).text();

describe("what a flood is like", () => {
  beforeEach(() => {
    setActivePinia(createPinia());
    i18n.global.locale.value = "zh-CN";
  });
  it("names the factory, the cause, what was done, how long it took, and how far to trust it", () => {
    const text = shown(KNOWN);
    for (const word of ["二厂", "阀门卡住", "mend-valve", "换了<b>阀</b>", "0.74", "40", "不会启动任何动作"]) expect(text).toContain(word);
    expect(shown(KNOWN, new Map([["valve", "本厂的叫法"]]))).toContain("本厂的叫法");
    expect(trusted(0.9999)).toBe("0.99");
  });
  it("says that it does not know, why, and that it still compares", () => {
    expect(shown(other({ why: "unlike" }))).toContain("未知：与记住的 30 次泛滥都不像");
    expect(shown(other({ why: "too_few", remembered: 3 }))).toContain("记住的泛滥还太少（3 次）");
    expect(shown(other({ state: "comparing", horizon_min: 20 }))).toContain("正在比较（已看前 20 分钟）");
    // An answer that is not trusted names nothing, even where something came along.
    expect(shown({ ...KNOWN, state: "comparing", horizon_min: 0 })).not.toContain("阀门");
  });
  it("stands in the row of the dispatch centre", () => {
    const group = useGroup();
    group.onEvent({ event: "floods", id: "1", data: JSON.stringify({ floods: [{ site: "f1", incident: "x", likeness: KNOWN } as GroupFlood] }) });
    const item = { site: "f1", id: "x", status: "open", priority: 1, flood: true, alarms: 12, opened_at: 1 } as GroupIncident;
    const wrapper = mount(GroupIncidentTable, { props: { items: [item, { ...item, id: "y" }] }, global: { plugins: [i18n] } });
    expect(wrapper.findAll('[data-testid="group-like"]').map((e) => e.text())).toEqual(["像二厂：阀门卡住"]);
    vi.stubGlobal("fetch", () => new Promise(() => {}));
    const box = (id: string) => mount(GroupIncidentBox, { props: { incident: { ...item, id } }, global: { plugins: [i18n] } });
    expect(box("x").get('[data-testid="likeness"]').text()).toContain("mend-valve");
    expect(box("y").find('[data-testid="likeness"]').exists()).toBe(false);
    vi.unstubAllGlobals();
  });
});
