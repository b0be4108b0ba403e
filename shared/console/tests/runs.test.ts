import { createPinia, setActivePinia } from "pinia";
import { beforeEach, expect, it, vi } from "vitest";
import { createApp, h, nextTick, shallowRef } from "vue";
import type { Run } from "@/api/types";
import RunAsk from "@/components/RunAsk.vue";
import { i18n } from "@/locales";
import { useSession } from "@/stores/session";

const run = (path: string): Run => {
  const ask = {
    step: "unknown", path, quorum: 1, question: { zh: "?", en: "?" }, options: ["done"], labels: {},
    roles: [], until: null,
  };
  return {
    id: "r", playbook: "p", version: 1, name: { zh: "p", en: "p" }, alarm: null, occurrence: null,
    status: "waiting", started_at: 0, ended_at: null, drill: false, ask, asks: [ask], steps: [],
    attached: 0, joined: [], time_scale: 1,
  };
};

beforeEach(() => {
  document.body.innerHTML = "";
});

it("answers the question that it shows, and the next one of the same name anew", async () => {
  const fetcher = vi.fn(
    async (_: string, init?: RequestInit) =>
      new Response(JSON.stringify({ occurrence: "r", accepted: true, code: "ok", params: {}, sent: init?.body }), {
        headers: { "content-type": "application/json" },
      }),
  );
  vi.stubGlobal("fetch", fetcher);
  const pinia = createPinia();
  setActivePinia(pinia);
  vi.spyOn(useSession(), "hasRole").mockReturnValue(true);
  const shown = shallowRef(run("/steps/a/unknown"));
  const app = createApp({ render: () => h(RunAsk, { run: shown.value }) });
  app.use(pinia).use(i18n).mount(document.body.appendChild(document.createElement("div")));
  const press = async () => {
    const button = document.querySelector<HTMLButtonElement>("[data-testid=answer-done]");
    expect(button?.disabled).toBe(false);
    button?.click();
    await vi.waitFor(() => expect(button?.disabled).toBe(true));
    await new Promise((done) => setTimeout(done));
  };
  await press();
  shown.value = run("/steps/b/unknown");
  await nextTick();
  await press();
  const sent = fetcher.mock.calls.map(([, init]) => JSON.parse(String(init?.body)).path);
  expect(sent).toEqual(["/steps/a/unknown", "/steps/b/unknown"]);
  app.unmount();
});
