// A draft that several people have open: nothing typed is lost, nothing changed is approved unseen.
import { flushPromises, mount } from "@vue/test-utils";
import { createPinia, setActivePinia } from "pinia";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { defineComponent, h } from "vue";
import { createMemoryHistory, createRouter, RouterView } from "vue-router";
import type { Draft } from "@/api/types";
import { i18n } from "@/locales";
import DraftScreen from "@/screens/DraftScreen.vue";
import { useSession } from "@/stores/session";

const draft = (revision: number, text: string, status: Draft["status"] = "open"): Draft => ({
  id: "d1", playbook: "p", source: "blank", base: null, status, revision, authors: ["wu"], created_at: 0, changed_at: 0,
  changed_by: "lin", released: null, text, test: "", findings: [], errors: 0, explained: null, remarks: [],
});
const sent: [string, string, Record<string, string>][] = [];
let now: Draft;
const answer = (body: unknown, status = 200, tag = "") =>
  new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json", etag: tag } });
const Field = defineComponent({
  props: ["modelValue"], emits: ["update:modelValue"],
  setup: (props, { emit }) => () =>
    h("textarea", { value: props.modelValue, onInput: (e: Event) => emit("update:modelValue", (e.target as HTMLTextAreaElement).value) }),
});

beforeEach(() => {
  sent.length = 0;
  vi.stubGlobal("fetch", vi.fn(async (path: string, init: RequestInit) => {
    const headers = init.headers as Record<string, string>;
    sent.push([init.method ?? "GET", path, headers]);
    const tag = `"r${now.revision}"`;
    if (init.method === "GET") return path.endsWith("schema") ? answer({}) : answer(now, 200, tag);
    if (path.endsWith("/remarks")) return answer({});
    if (headers["if-match"] !== tag) return answer({ code: "precondition_failed", params: {} }, 412);
    now = { ...now, revision: now.revision + 1 };
    return answer(now, 200, `"r${now.revision}"`);
  }));
});
afterEach(() => vi.unstubAllGlobals());

async function shown(it: Draft) {
  now = it;
  setActivePinia(createPinia());
  vi.spyOn(useSession(), "may").mockReturnValue(true);
  const router = createRouter({ history: createMemoryHistory(), routes: [{ path: "/:id", component: DraftScreen, props: true }, { path: "/", component: { render: () => null } }] });
  await router.push("/d1");
  const page = mount(RouterView, { global: { plugins: [i18n, router], stubs: { YamlEditor: Field, RouterLink: true } }, attachTo: document.body });
  await flushPromises();
  return { page, router };
}
type Page = Awaited<ReturnType<typeof shown>>["page"];
const text = (page: Page) => (page.find("textarea").element as HTMLTextAreaElement).value;
async function say(page: Page, act: string, why: string): Promise<void> {
  await page.find(`[data-testid=act-${act}]`).trigger("click");
  await page.find(`[data-testid=why-${act}]`).setValue(why);
  await page.find("form.reason").trigger("submit");
  await flushPromises();
}

it("keeps what is typed while a comment is made", async () => {
  const { page } = await shown(draft(1, "a: 1"));
  await page.find("textarea").setValue("a: 2");
  await say(page, "remark", "why?");
  expect(text(page)).toBe("a: 2");
  page.unmount();
});

it("keeps what is typed when somebody else was faster, and overwrites only when told to", async () => {
  const { page } = await shown(draft(1, "a: 1"));
  await page.find("textarea").setValue("mine: 1");
  now = draft(4, "theirs: 1");
  await page.find("[data-testid=save]").trigger("click");
  await flushPromises();
  expect(page.find("[data-testid=theirs]").text()).toContain("lin");
  expect(text(page)).toBe("mine: 1");
  await page.find("[data-testid=keep-mine]").trigger("click");
  expect(text(page)).toBe("mine: 1");
  await page.find("[data-testid=save]").trigger("click");
  await flushPromises();
  expect(sent.filter(([method]) => method === "PUT").map(([, , headers]) => headers["if-match"])).toEqual(['"r1"', '"r4"']);
  expect(page.find("[data-testid=theirs]").exists()).toBe(false);
  page.unmount();
});

it("tells a reviewer that it has changed, and makes nobody approve it by pressing again", async () => {
  const { page } = await shown(draft(1, "a: 1", "submitted"));
  now = draft(3, "a: 9", "submitted");
  await say(page, "approve", "good");
  expect(page.find("[data-testid=moved]").exists()).toBe(true);
  expect(text(page)).toBe("a: 9");
  expect(page.find("[data-testid=why-approve]").exists()).toBe(false); // the form is closed: read first
  page.unmount();
});

it("asks before unsaved text is left", async () => {
  const { page, router } = await shown(draft(1, "a: 1"));
  const ask = vi.fn(() => false);
  vi.stubGlobal("confirm", ask);
  window.confirm = ask;
  await page.find("textarea").setValue("a: 2");
  await router.push("/");
  expect([ask.mock.calls.length, router.currentRoute.value.path]).toEqual([1, "/d1"]);
  page.unmount();
});
