// Playbook runs: the list, kept new by the stream; steps are fetched by the run view.
import { defineStore } from "pinia";
import { computed, ref, shallowRef } from "vue";
import { ApiError, get, post, seg } from "@/api/client";
import type { ItemResult, Run, RunList } from "@/api/types";

const LIMIT = 200;

export const useRuns = defineStore("runs", () => {
  const runs = shallowRef<Run[]>([]);
  const loaded = ref(false);
  const problem = shallowRef<ApiError | null>(null);
  /** Which runs the newest event touched, so that an open view fetches its steps again. */
  const touched = shallowRef<ReadonlySet<string>>(new Set());
  const asking = computed(() => runs.value.filter((run) => run.ask).length);

  function merge(changed: readonly Run[]): void {
    const byId = new Map(runs.value.map((run) => [run.id, run]));
    for (const run of changed) byId.set(run.id, run);
    runs.value = [...byId.values()].sort((a, b) => b.started_at - a.started_at).slice(0, LIMIT);
    touched.value = new Set(changed.map((run) => run.id));
  }
  async function load(): Promise<void> {
    try {
      const answer = await get<RunList>(`/api/runs?limit=${LIMIT}`);
      runs.value = [];
      merge(answer.runs);
      loaded.value = true;
      problem.value = null;
    } catch (reason) {
      problem.value = reason instanceof ApiError ? reason : new ApiError("bad_answer");
    }
  }
  /** Answer the question of a run that has this path; a refusal is thrown like a failed call. */
  async function answer(run: string, path: string, option: string, comment = ""): Promise<void> {
    const result = await post<ItemResult>(`/api/runs/${seg(run)}/answers`, {
      path,
      option,
      comment,
    });
    if (!result.accepted) throw new ApiError(result.code, result.params);
  }
  return { runs, loaded, problem, touched, asking, merge, load, answer };
});
