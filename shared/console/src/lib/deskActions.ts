// What people may do about alarms: which right and which form each action needs, on which rows.
// It only offers; the server decides row by row.
import type { ActionRequest, AlarmRow } from "@/api/types";
import { isUnacked } from "./alarmOrder";

export type DeskAction = ActionRequest["action"];
export type FormKind = "none" | "shelve" | "reason" | "permit" | "text" | "person";

export interface ActionSpec {
  action: DeskAction;
  right: string;
  form: FormKind;
  key: string;
  /** Whether it makes sense for a row. */
  fits: (row: AlarmRow) => boolean;
}

const always = () => true;
const not = (state: string) => (row: AlarmRow) => row.state !== state;
const only = (state: string) => (row: AlarmRow) => row.state === state;
const spec = (
  action: DeskAction, right: string, form: FormKind, key: string, fits: ActionSpec["fits"],
): ActionSpec => ({ action, right, form, key, fits });

export const ACTIONS: readonly ActionSpec[] = [
  spec("acknowledge", "acknowledge", "none", "A", (row) => !row.acked),
  spec("shelve", "shelve", "shelve", "S", always),
  spec("unshelve", "shelve", "none", "", only("shelved")),
  spec("assign", "assign", "person", "G", always),
  spec("comment", "comment", "text", "C", always),
  spec("confirm", "acknowledge", "none", "", (row) => row.acked && !isUnacked(row)),
  spec("reset", "acknowledge", "none", "", (row) => row.state.startsWith("latched")),
  spec("suppress", "suppress", "reason", "", not("suppressed")),
  // What a rule suppresses, no person can bring back.
  spec("unsuppress", "suppress", "none", "", (row) => row.suppressed_by.includes("operator")),
  spec("out_of_service", "out_of_service", "permit", "", not("out_of_service")),
  spec("in_service", "out_of_service", "none", "", only("out_of_service")),
  spec("disable", "suppress", "reason", "", not("disabled")),
  spec("enable", "suppress", "none", "", only("disabled")),
];
const BY_NAME = new Map(ACTIONS.map((one) => [one.action, one]));

/** How an action is done. */
export function specOf(action: DeskAction): ActionSpec {
  const found = BY_NAME.get(action);
  if (!found) throw new Error(`no action ${action}`);
  return found;
}

const PRESETS = [5, 15, 30, 60, 120, 240, 480, 720, 1440];

/** Minutes to choose from when shelving: nothing longer than the alarm's maximum. */
export function shelvePresets(most: number | null): number[] {
  if (most === null) return PRESETS.filter((n) => n <= 480);
  const within = PRESETS.filter((n) => n < most).slice(-6);
  return [...within, most];
}

const stamp = (r: AlarmRow) =>
  JSON.stringify([r.state, r.shelf, r.suppressed_by, r.permit, r.refused?.at]);

/** Whether the live row already shows that an action was taken in: until then it is "sending". */
export function showsIt(
  action: DeskAction, before: AlarmRow, now: AlarmRow | undefined, to?: string | null,
): boolean {
  if (!now || now.occurrence !== before.occurrence) return true;
  if (action === "acknowledge") return now.acked || now.ack_pending;
  if (action === "assign") return now.assigned_to === to;
  if (action === "comment") return now.comments > before.comments;
  return now.pending.includes(action) || stamp(now) !== stamp(before);
}
