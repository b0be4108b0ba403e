// What people do about alarms: sends exactly what was on the screen, remembers what is under way
// and what was refused. It never paints a row as done; only the server's delta does.
import { defineStore } from "pinia";
import { ref, shallowRef, watch } from "vue";
import { ApiError, newKey, post } from "@/api/client";
import type { ActionItem, ActionRequest, ActionResult, AlarmRow } from "@/api/types";
import { type DeskAction, showsIt, specOf } from "@/lib/deskActions";
import { useAlarms } from "./alarms";
import { useSession } from "./session";

const MAX_ITEMS = 500;
const MAX_REFUSALS = 500;
const CONFIRM_MS = 10_000;

/** What an action names: a row of the live list, or an alarm at rest. */
export interface Target {
  alarm: string;
  occurrence: string;
  version: number;
  tag: string;
}
export interface Refusal {
  alarm: string;
  tag: string;
  code: string;
  params: Record<string, unknown>;
  action: DeskAction;
  /** The edge said no after the desk had taken it. */
  edge: boolean;
}
export type Args = Partial<ActionRequest["args"]>;
interface Sent {
  action: DeskAction;
  before: AlarmRow | null;
  to: string | null | undefined;
}

/** The rendered identity of rows, as the request carries it. */
export const itemsOf = (targets: readonly Target[]): ActionItem[] =>
  targets.map(({ alarm, occurrence, version }) => ({ alarm, occurrence, version }));

export const useDesk = defineStore("desk", () => {
  const alarms = useAlarms();
  const session = useSession();
  /** alarm -> what is on its way. */
  const sending = ref<ReadonlyMap<string, Sent>>(new Map());
  const refusals = shallowRef<Refusal[]>([]);
  /** The form that is open. */
  const asking = shallowRef<{ action: DeskAction; targets: readonly Target[] } | null>(null);
  /** Counts answered actions, so that lists beside the live one fetch again. */
  const answered = ref(0);
  /** alarm -> the edge's refusal that this page knows of already. */
  const known = new Map<string, number>();

  const settle = (done: (alarm: string, sent: Sent) => boolean) => {
    const left = [...sending.value].filter(([alarm, sent]) => !done(alarm, sent));
    if (left.length !== sending.value.size) sending.value = new Map(left);
  };
  watch(
    () => alarms.changed,
    ({ rows }) => {
      if (sending.value.size)
        settle((alarm, { action, before, to }) => {
          const now = alarms.rows.get(alarm);
          return !before || showsIt(action, before, now, to);
        });
      for (const row of rows) if (row.refused) hear(row);
    },
    { flush: "sync" },
  );

  /** The edge refused what this person had asked for: told once, beside the row. */
  function hear(row: AlarmRow): void {
    const said = row.refused;
    if (!said || known.get(row.alarm) === said.at) return;
    const first = !known.has(row.alarm) && said.at < opened;
    known.set(row.alarm, said.at);
    if (first || said.actor !== session.session?.user) return;
    refuse([row], said.code, {}, said.action as DeskAction, true);
  }
  const opened = Date.now() + alarms.clockAhead;

  function refuse(
    targets: readonly Target[], code: string, params: Record<string, unknown>,
    action: DeskAction, edge = false,
  ): void {
    const ours = new Set(targets.map((one) => one.alarm));
    const added = targets.map(({ alarm, tag }) => ({ alarm, tag, code, params, action, edge }));
    const others = refusals.value.filter((r) => !ours.has(r.alarm));
    refusals.value = [...added, ...others].slice(0, MAX_REFUSALS);
    settle((alarm) => ours.has(alarm));
  }

  function mark(action: DeskAction, batch: readonly Target[], to: string | null | undefined): void {
    const sent = batch.map((one): [string, Sent] => {
      const before = alarms.rows.get(one.alarm) ?? null;
      return [one.alarm, { action, before, to }];
    });
    sending.value = new Map([...sending.value, ...sent]);
    const ours = new Set(batch.map((one) => one.alarm));
    refusals.value = refusals.value.filter((r) => !ours.has(r.alarm));
    setTimeout(() => {
      const mine = new Map(sent);
      const silent = batch.filter((one) => sending.value.get(one.alarm)?.before && sending.value.get(one.alarm) === mine.get(one.alarm));
      if (silent.length) refuse(silent, "no_confirmation", {}, action);
    }, CONFIRM_MS);
  }

  /** Do this for these rows as they are displayed now; true if the desk took every one. */
  async function act(action: DeskAction, targets: readonly Target[], args: Args = {}): Promise<boolean> {
    const batch = targets.filter((one) => !sending.value.has(one.alarm));
    if (!batch.length) return false;
    if (batch.length > MAX_ITEMS) {
      refuse(batch, "too_many_rows", { max: MAX_ITEMS }, action);
      return false;
    }
    mark(action, batch, args.to);
    try {
      const body = { action, items: itemsOf(batch), args };
      const { results } = await post<ActionResult>("/api/alarms/actions", body, newKey());
      batch.forEach((one, i) => {
        const result = results[i];
        if (!result?.accepted)
          refuse([one], result?.code ?? "bad_answer", result?.params ?? {}, action);
      });
      // Nothing will change in a row that already says so, or that is not in the live list.
      settle((alarm, sent) => {
        const mine = batch.some((one) => one.alarm === alarm);
        const now = alarms.rows.get(alarm);
        return mine && (!sent.before || showsIt(action, sent.before, now, sent.to));
      });
      return results.every((result) => result.accepted);
    } catch (reason) {
      const error = reason instanceof ApiError ? reason : new ApiError("bad_answer");
      refuse(batch, error.code, error.params, action);
      return false;
    } finally {
      answered.value++;
    }
  }
  /** Of many, those already acknowledged come back as refused; a single one is not asked. */
  const acknowledge = (rows: readonly AlarmRow[]) =>
    rows.some((row) => !row.acked) ? act("acknowledge", rows) : Promise.resolve(false);

  /** Open the action's form, or do it at once when it needs none. */
  function ask(action: DeskAction, targets: readonly Target[]): void {
    if (!targets.length) return;
    if (specOf(action).form === "none") void act(action, targets);
    else asking.value = { action, targets };
  }
  const dismiss = (alarm?: string) => {
    refusals.value = alarm ? refusals.value.filter((r) => r.alarm !== alarm) : [];
  };

  return { sending, refusals, asking, answered, act, acknowledge, ask, dismiss };
});
