// How the ordered rows become lines: flat, or grouped by standing parent and by incident. Pure.
// Nothing is ever dropped: what is folded is counted, and what has returned is always a line.
import type { AlarmRow } from "@/api/types";

export interface RowLine {
  kind: "row";
  key: string;
  row: AlarmRow;
  depth: number;
  /** How many rows stand behind it, shown or not. */
  behind: number;
  open: boolean;
}
export interface GroupLine {
  kind: "group";
  key: string;
  incident: string;
  /** What names it: the incident's first-out, wherever it stands in the list. */
  lead: AlarmRow;
  rows: readonly AlarmRow[];
  open: boolean;
}
export type Line = RowLine | GroupLine;

/** Up to this priority an alarm is never folded away. */
const SINGLE = 2;
export const groupKey = (incident: string) => `incident:${incident}`;
const foldable = (row: AlarmRow) => row.priority > SINGLE && row.active;

/** The visible parent that a row is folded behind, at the top of the chain; null if none. */
function rootOf(row: AlarmRow, here: ReadonlyMap<string, AlarmRow>): AlarmRow | null {
  let found: AlarmRow | null = null;
  const passed = new Set([row.alarm]);
  for (let at = row; at.hidden_behind && foldable(at); ) {
    const parent = here.get(at.hidden_behind);
    if (!parent) return found;
    // Two that stand behind each other would both vanish.
    if (passed.has(parent.alarm)) return null;
    passed.add(parent.alarm);
    found = parent;
    at = parent;
  }
  return found;
}

const push = <K>(map: Map<K, AlarmRow[]>, key: K, row: AlarmRow) => {
  const list = map.get(key);
  if (list) list.push(row);
  else map.set(key, [row]);
};

/** Lines of rows that are already in order; `open` holds the keys that are unfolded. */
export function arrange(
  rows: readonly AlarmRow[], grouped: boolean, open: ReadonlySet<string>,
): Line[] {
  if (!grouped) return rows.map((row) => line(row, 0, 0, false));
  const here = new Map(rows.map((row) => [row.alarm, row]));
  const behind = new Map<string, AlarmRow[]>();
  const incidents = new Map<string, AlarmRow[]>();
  const leads = new Map<string, AlarmRow>();
  const tops: AlarmRow[] = [];
  for (const row of rows) {
    if (row.incident && row.first_out && !leads.has(row.incident)) leads.set(row.incident, row);
    const root = rootOf(row, here);
    if (root) {
      push(behind, root.alarm, row);
      continue;
    }
    tops.push(row);
    if (row.incident && foldable(row)) push(incidents, row.incident, row);
  }
  const out: Line[] = [];
  const emit = (row: AlarmRow, depth: number) => {
    const children = behind.get(row.alarm) ?? [];
    const unfolded = open.has(row.alarm);
    out.push(line(row, depth, children.length, unfolded));
    if (unfolded) for (const child of children) out.push(line(child, depth + 1, 0, false));
  };
  const told = new Set<string>();
  for (const row of tops) {
    const members = foldable(row) ? incidents.get(row.incident) : undefined;
    if (!members || members.length < 2) {
      emit(row, 0);
      continue;
    }
    if (told.has(row.incident)) continue;
    told.add(row.incident);
    const key = groupKey(row.incident);
    const all = members.flatMap((one) => [one, ...(behind.get(one.alarm) ?? [])]);
    const lead = leads.get(row.incident) ?? row;
    out.push({ kind: "group", key, incident: row.incident, lead, rows: all, open: open.has(key) });
    if (open.has(key)) for (const member of members) emit(member, 1);
  }
  return out;
}

function line(row: AlarmRow, depth: number, behind: number, open: boolean): RowLine {
  return { kind: "row", key: row.alarm, row, depth, behind, open };
}

/** New data into the same lines. */
export function refreshLines(
  lines: readonly Line[], newest: (row: AlarmRow) => AlarmRow,
): Line[] {
  return lines.map((one) =>
    one.kind === "row"
      ? { ...one, row: newest(one.row) }
      : { ...one, lead: newest(one.lead), rows: one.rows.map(newest) },
  );
}

/** The keys to unfold so that an alarm becomes a line. */
export function pathTo(rows: readonly AlarmRow[], alarm: string): string[] {
  const here = new Map(rows.map((row) => [row.alarm, row]));
  const row = here.get(alarm);
  if (!row) return [];
  const root = rootOf(row, here);
  const top = root ?? row;
  return [...(top.incident ? [groupKey(top.incident)] : []), ...(root ? [root.alarm] : [])];
}
