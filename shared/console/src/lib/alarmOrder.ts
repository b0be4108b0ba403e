// Pure rules of the list: what is unacknowledged, the default order, the filter language.
import type { AlarmRow, AlarmState } from "@/api/types";

const HIDDEN: ReadonlySet<AlarmState> = new Set<AlarmState>([
  "shelved",
  "suppressed",
  "out_of_service",
  "disabled",
]);

/** Shelved, suppressed, out of service or disabled: listed only when asked for. */
export const isHidden = (row: AlarmRow) => HIDDEN.has(row.state);

/** Waits for a person: its glyph blinks and it stands first. */
export const isUnacked = (row: AlarmRow) =>
  !row.acked && !isHidden(row) && row.state !== "normal";

/** Sounds: unacknowledged and still there (a returned one is silent). */
export const isAudible = (row: AlarmRow) => isUnacked(row) && row.state !== "rtn_unacknowledged";

/** Unacknowledged first, then priority, then newest; the id makes it total. */
export function compareRows(a: AlarmRow, b: AlarmRow): number {
  const unacked = Number(isUnacked(b)) - Number(isUnacked(a));
  if (unacked) return unacked;
  if (a.priority !== b.priority) return a.priority - b.priority;
  if (a.raised_at !== b.raised_at) return b.raised_at - a.raised_at;
  return a.alarm < b.alarm ? -1 : a.alarm > b.alarm ? 1 : 0;
}

export type RowTest = (row: AlarmRow) => boolean;

const STATE_WORDS: Record<string, RowTest> = {
  unack: isUnacked,
  acked: (r) => r.acked,
  active: (r) => r.active,
  rtn: (r) => r.state === "rtn_unacknowledged",
  latched: (r) => r.state.startsWith("latched"),
  shelved: (r) => r.state === "shelved",
  suppressed: (r) => r.state === "suppressed",
  oos: (r) => r.state === "out_of_service",
};

function textTest(word: string): RowTest {
  const w = word.toLowerCase();
  return (r) =>
    `${r.tag}\u0000${r.asset}\u0000${r.name.zh}\u0000${r.name.en}\u0000${r.alarm}`
      .toLowerCase()
      .includes(w);
}

function tokenTest(token: string): RowTest {
  const order = /^priority(<=|>=|=|:)([1-4])$/.exec(token);
  if (order) {
    const n = Number(order[2]);
    if (order[1] === "<=") return (r) => r.priority <= n;
    if (order[1] === ">=") return (r) => r.priority >= n;
    return (r) => r.priority === n;
  }
  const pair = /^(state|edge|asset|tag)[:~=](.+)$/.exec(token);
  if (!pair) return textTest(token);
  const value = pair[2] ?? "";
  if (pair[1] === "state") return STATE_WORDS[value] ?? ((r) => r.state === value);
  if (pair[1] === "edge") return (r) => r.edge === value;
  const key = pair[1] as "asset" | "tag";
  return (r) => r[key].toLowerCase().includes(value.toLowerCase());
}

/** Build the test of a filter line such as `priority<=2 edge:e1 furnace`. */
export function parseFilter(line: string, priorities: ReadonlySet<number>): RowTest {
  const tokens = line.trim().split(/\s+/).filter(Boolean);
  const tests = tokens.map(tokenTest);
  // Hidden alarms are shown only when the line names a state.
  const showHidden = tokens.some((t) => /^state[:~=]/.test(t));
  return (row) =>
    (showHidden || !isHidden(row)) &&
    (priorities.size === 0 || priorities.has(row.priority)) &&
    tests.every((test) => test(row));
}
