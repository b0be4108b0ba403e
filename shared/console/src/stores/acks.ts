// Acknowledging: sends exactly what was on the screen, remembers what is under way and refused.
// It never paints a row as acknowledged; only the server's delta does.
import { defineStore } from "pinia";
import { ref, shallowRef, watch } from "vue";
import { ApiError, newKey, post } from "@/api/client";
import type { AckItem, ActionResult, AlarmRow, ItemResult } from "@/api/types";
import { useAlarms } from "./alarms";

const MAX_ITEMS = 500;
const CONFIRM_MS = 10_000;

export interface Refusal {
  alarm: string;
  tag: string;
  code: string;
  params: Record<string, unknown>;
}

/** The rendered identity of rows, as the request carries it. */
export const ackItems = (rows: readonly AlarmRow[]): AckItem[] =>
  rows.map(({ alarm, occurrence, version }) => ({ alarm, occurrence, version }));

export const useAcks = defineStore("acks", () => {
  const alarms = useAlarms();
  /** alarm -> occurrence whose acknowledgement is on its way. */
  const sending = ref<ReadonlyMap<string, string>>(new Map());
  const refusals = shallowRef<Refusal[]>([]);

  const settle = (done: (alarm: string) => boolean) => {
    const left = [...sending.value].filter(([alarm]) => !done(alarm));
    if (left.length !== sending.value.size) sending.value = new Map(left);
  };

  watch(
    () => alarms.changed,
    () =>
      settle((alarm) => {
        const row = alarms.rows.get(alarm);
        const sent = sending.value.get(alarm);
        return !row || row.occurrence !== sent || row.acked || row.ack_pending;
      }),
    { flush: "sync" },
  );

  function refuse(rows: readonly AlarmRow[], code: string, params: Record<string, unknown>): void {
    const ours = new Set(rows.map((row) => row.alarm));
    const added = rows.map((row) => ({ alarm: row.alarm, tag: row.tag, code, params }));
    refusals.value = [...added, ...refusals.value.filter((r) => !ours.has(r.alarm))].slice(0, 500);
    settle((alarm) => ours.has(alarm));
  }

  function read(results: readonly ItemResult[], rows: readonly AlarmRow[]): void {
    const byOccurrence = new Map(rows.map((row) => [row.occurrence, row]));
    for (const result of results) {
      const row = byOccurrence.get(result.occurrence);
      if (row && !result.accepted) refuse([row], result.code, result.params);
    }
  }

  /** Acknowledge these rows as they are displayed now. */
  async function acknowledge(rows: readonly AlarmRow[], comment = ""): Promise<void> {
    const batch = rows.filter((row) => !row.acked && !sending.value.has(row.alarm));
    if (!batch.length) return;
    if (batch.length > MAX_ITEMS) return refuse(batch, "too_many_rows", { max: MAX_ITEMS });
    const items = ackItems(batch);
    const sent = batch.map((row): [string, string] => [row.alarm, row.occurrence]);
    sending.value = new Map([...sending.value, ...sent]);
    const ours = new Set(batch.map((row) => row.alarm));
    refusals.value = refusals.value.filter((r) => !ours.has(r.alarm));
    try {
      const answer = await post<ActionResult>("/api/alarms/ack", { items, comment }, newKey());
      read(answer.results, batch);
    } catch (reason) {
      const error = reason instanceof ApiError ? reason : new ApiError("bad_answer");
      return refuse(batch, error.code, error.params);
    }
    setTimeout(() => {
      const silent = batch.filter((row) => sending.value.get(row.alarm) === row.occurrence);
      if (silent.length) refuse(silent, "no_confirmation", {});
    }, CONFIRM_MS);
  }

  const dismiss = (alarm?: string) => {
    refusals.value = alarm ? refusals.value.filter((r) => r.alarm !== alarm) : [];
  };

  return { sending, refusals, acknowledge, dismiss };
});
