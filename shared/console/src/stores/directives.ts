// What the group wants to change at this factory: asked for every so often, decided here.
import { defineStore } from "pinia";
import { computed, ref, shallowRef } from "vue";
import { ApiError, get, post, seg } from "@/api/client";
import type { DirectiveList, WaitingDirective } from "@/api/types";

const EVERY_MS = 10_000;

/** What people here decide on now; of several on their way to one edge the newest carries all. */
export const decidable = (d: Pick<WaitingDirective, "status" | "newer">): boolean => d.status === "waiting" && d.newer === null;

export const useDirectives = defineStore("directives", () => {
  const list = shallowRef<DirectiveList | null>(null);
  const problem = shallowRef<ApiError | null>(null);
  const waiting = computed(() => list.value?.items.filter(decidable).length ?? 0);
  let heard = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const following = ref(false);

  async function load(): Promise<void> {
    const before = heard;
    try {
      const got = await get<DirectiveList>("/api/directives");
      if (heard === before) list.value = got;
      problem.value = null;
    } catch (reason) {
      problem.value = reason instanceof ApiError ? reason : new ApiError("bad_answer");
    }
    clearTimeout(timer);
    if (following.value) timer = setTimeout(() => void load(), EVERY_MS);
  }
  function follow(on: boolean): void {
    following.value = on;
    clearTimeout(timer);
    if (on) void load();
    else list.value = null;
  }
  async function decide(one: WaitingDirective, accept: boolean, reason: string): Promise<void> {
    await post<WaitingDirective>(`/api/directives/${seg(one.edge)}/${one.counter}/decision`, { accept, reason });
    heard++;
    await load();
  }
  return { list, problem, waiting, load, follow, decide };
});
