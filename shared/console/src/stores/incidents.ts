// Open incidents, kept new by the stream; closed ones are fetched by their screen.
import { defineStore } from "pinia";
import { computed, ref, shallowRef } from "vue";
import { type ApiError, get, post, seg } from "@/api/client";
import type { Incident, IncidentPage, IncidentResult } from "@/api/types";
import { byUrgency, isOpen } from "@/lib/incidents";
import { asError } from "@/lib/load";

const LIMIT = 200;

export const useIncidents = defineStore("incidents", () => {
  const rows = shallowRef<ReadonlyMap<string, Incident>>(new Map());
  const loaded = ref(false);
  const problem = shallowRef<ApiError | null>(null);
  /** More are open than this list holds. */
  const cut = ref(false);
  /** What the newest event changed, also closed and merged ones. */
  const changed = shallowRef<readonly Incident[]>([]);
  /** Incidents of which the group has just said something new. */
  const likened = shallowRef<readonly string[]>([]);
  const open = computed(() => [...rows.value.values()].sort(byUrgency));
  const unseen = computed(() => open.value.filter((row) => row.status === "open").length);
  let heard = new Map<string, Incident>();
  let loading = false;

  function merge(items: readonly Incident[]): void {
    const next = new Map(rows.value);
    for (const item of items) {
      if (loading) heard.set(item.id, item);
      if (isOpen(item)) next.set(item.id, item);
      else next.delete(item.id);
    }
    rows.value = next;
    changed.value = items;
  }
  async function load(): Promise<void> {
    loading = true;
    try {
      const page = await get<IncidentPage>(`/api/incidents?state=open&limit=${LIMIT}`);
      rows.value = new Map(page.items.map((item) => [item.id, item]));
      cut.value = page.next !== null;
      loaded.value = true;
      problem.value = null;
      // What the stream said while the page was on its way is newer than the page.
      const late = [...heard.values()];
      heard = new Map();
      loading = false;
      if (late.length) merge(late);
    } catch (reason) {
      problem.value = asError(reason);
    } finally {
      loading = false;
      heard = new Map();
    }
  }
  /** Do something with an incident; answers under which id it goes on. */
  async function act(id: string, path: string, body?: unknown): Promise<string> {
    const done = await post<IncidentResult>(`/api/incidents/${seg(id)}/${path}`, body ?? {});
    return done.incident;
  }
  return { rows, loaded, problem, cut, changed, likened, open, unseen, merge, load, act };
});
