// What the alarm list shows and in which order; holds still while a person is aiming at a row.
import { defineStore } from "pinia";
import { computed, ref, shallowRef, watch } from "vue";
import type { AlarmRow } from "@/api/types";
import { compareRows, isUnacked, parseFilter } from "@/lib/alarmOrder";
import { arrange, type Line, pathTo, refreshLines } from "@/lib/arrange";
import { useAlarms } from "./alarms";
import { usePrefs } from "./prefs";

/** A row under the cursor holds the order this long after the last key or click. */
export const CURSOR_HOLD_MS = 15_000;

export const useListView = defineStore("listView", () => {
  const alarms = useAlarms();
  const prefs = usePrefs();
  const query = ref("");
  const priorities = ref<ReadonlySet<number>>(new Set());
  const frozenAt = ref<number | null>(null);
  const pointerInside = ref(false);
  const cursor = ref<string | null>(null);
  const cursorUntil = ref(0);
  const ticked = ref<ReadonlySet<string>>(new Set());
  const now = ref(Date.now());
  const test = computed(() => parseFilter(query.value, priorities.value));

  /** Rows as displayed, newest data; a row that left while held stays as its last picture. */
  const shown = shallowRef<AlarmRow[]>([]);
  /** The lines on the screen: rows, and in a grouped list the heads of what is folded. */
  const lines = shallowRef<Line[]>([]);
  /** In `auto` the list groups itself while there is a flood. */
  const grouped = computed(
    () => prefs.grouping === "on" || (prefs.grouping === "auto" && Boolean(alarms.banner?.flood)),
  );
  const unfolded = ref<ReadonlySet<string>>(new Set());
  const gone = shallowRef<ReadonlySet<string>>(new Set());
  /** New alarms that the held list does not show yet. */
  const fresh = shallowRef<AlarmRow[]>([]);
  const held = computed(
    () =>
      frozenAt.value !== null ||
      pointerInside.value ||
      ticked.value.size > 0 ||
      (cursor.value !== null && now.value < cursorUntil.value),
  );

  const fold = () => {
    lines.value = arrange(shown.value, grouped.value, unfolded.value);
  };
  function reorder(): void {
    const wanted: AlarmRow[] = [];
    for (const row of alarms.rows.values()) if (test.value(row)) wanted.push(row);
    // Nearly sorted input (the map keeps insertion order) is cheap for the engine's merge sort.
    shown.value = wanted.sort(compareRows);
    fold();
    gone.value = new Set();
    fresh.value = [];
    const kept = [...ticked.value].filter((alarm) => alarms.rows.has(alarm));
    if (kept.length !== ticked.value.size) ticked.value = new Set(kept);
  }

  /** New data into the same places. */
  function refreshInPlace(): void {
    const left = new Set(gone.value);
    const here = new Set<string>();
    shown.value = shown.value.map((old) => {
      here.add(old.alarm);
      const row = alarms.rows.get(old.alarm);
      if (row) left.delete(old.alarm);
      else left.add(old.alarm);
      return row ?? old;
    });
    gone.value = left;
    lines.value = refreshLines(lines.value, (old) => alarms.rows.get(old.alarm) ?? old);
    const added: AlarmRow[] = [];
    for (const row of alarms.rows.values())
      if (!here.has(row.alarm) && test.value(row)) added.push(row);
    fresh.value = added;
  }

  watch(
    () => alarms.changed,
    () => (held.value ? refreshInPlace() : reorder()),
    { flush: "sync" },
  );
  watch([test, held], ([, isHeld], [oldTest]) => {
    if (!isHeld || oldTest !== test.value) reorder();
  });
  // A flood that begins while a person aims at a row regroups the list when it is let go.
  watch(grouped, () => {
    if (!held.value) fold();
  });
  watch(() => prefs.grouping, fold);

  /** Unfold or fold a group, or what stands behind a row; the order stays. */
  function toggleFold(key: string): void {
    const next = new Set(unfolded.value);
    if (!next.delete(key)) next.add(key);
    unfolded.value = next;
    fold();
    touch();
  }
  /** Make an alarm a line of its own, whatever it is folded into. */
  function reveal(alarm: string): void {
    const shownNow = lines.value.some((line) => line.kind === "row" && line.key === alarm);
    if (shownNow || !grouped.value) return;
    unfolded.value = new Set([...unfolded.value, ...pathTo(shown.value, alarm)]);
    fold();
  }

  const touch = () => {
    now.value = Date.now();
    cursorUntil.value = now.value + CURSOR_HOLD_MS;
  };
  function moveTo(key: string | null): void {
    if (key) reveal(key);
    cursor.value = key;
    touch();
  }
  function move(step: number, extend = false): void {
    const list = lines.value;
    if (!list.length) return;
    const i = list.findIndex((line) => line.key === cursor.value);
    const from = i < 0 ? (step > 0 ? -1 : list.length) : i;
    const to = Math.max(0, Math.min(list.length - 1, from + step));
    const line = list[to];
    if (!line) return;
    if (extend) tickRange(Math.min(i < 0 ? to : i, to), Math.max(i, to));
    moveTo(line.key);
  }
  function tickRange(first: number, last: number): void {
    const rows = lines.value.slice(first, last + 1).filter((line) => line.kind === "row");
    ticked.value = new Set([...ticked.value, ...rows.map((line) => line.key)]);
  }
  /** Tick from the cursor to this row. */
  function extendTo(key: string): void {
    const to = lines.value.findIndex((line) => line.key === key);
    const from = lines.value.findIndex((line) => line.key === cursor.value);
    if (to >= 0) tickRange(Math.min(from < 0 ? to : from, to), Math.max(from, to));
    moveTo(key);
  }
  function toggle(alarm: string): void {
    const next = new Set(ticked.value);
    if (!next.delete(alarm)) next.add(alarm);
    ticked.value = next;
    touch();
  }
  function togglePriority(priority: number): void {
    const next = new Set(priorities.value);
    if (!next.delete(priority)) next.add(priority);
    priorities.value = next;
  }
  function toggleFreeze(): void {
    frozenAt.value = frozenAt.value === null ? Date.now() : null;
  }
  function clearSelection(): void {
    ticked.value = new Set();
    cursor.value = null;
  }
  /** Bring what is new into the list at once; ticks are kept. */
  const release = () => {
    cursorUntil.value = 0;
    frozenAt.value = null;
    reorder();
  };
  function oldestUnacked(): string | null {
    let oldest: AlarmRow | null = null;
    for (const row of alarms.rows.values())
      if (isUnacked(row) && (!oldest || row.raised_at < oldest.raised_at)) oldest = row;
    return oldest?.alarm ?? null;
  }
  function jumpToOldest(): void {
    const alarm = oldestUnacked();
    if (!alarm) return;
    const row = alarms.rows.get(alarm);
    if (row && !test.value(row)) {
      query.value = "";
      priorities.value = new Set();
    }
    reorder();
    moveTo(alarm);
  }
  /** The rows an action is for: ticked and displayed ones, else the one under the cursor. */
  function targets(): AlarmRow[] {
    const displayed = lines.value.flatMap((line) => (line.kind === "row" ? [line.row] : []));
    const live = displayed.filter((row) => !gone.value.has(row.alarm));
    const chosen = live.filter((row) => ticked.value.has(row.alarm));
    if (chosen.length || ticked.value.size) return chosen;
    return live.filter((row) => row.alarm === cursor.value);
  }
  const tick = () => {
    now.value = Date.now();
  };

  return {
    query, priorities, frozenAt, pointerInside, cursor, ticked, now, shown, lines, grouped, gone,
    fresh, held, reorder, moveTo, move, extendTo, toggle, toggleFold, togglePriority, toggleFreeze,
    clearSelection, release, jumpToOldest, targets, tick, touch,
  };
});
