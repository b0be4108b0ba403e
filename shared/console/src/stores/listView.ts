// What the alarm list shows and in which order; holds still while a person is aiming at a row.
import { defineStore } from "pinia";
import { computed, ref, shallowRef, watch } from "vue";
import type { AlarmRow } from "@/api/types";
import { compareRows, isUnacked, parseFilter } from "@/lib/alarmOrder";
import { useAlarms } from "./alarms";

/** A row under the cursor holds the order this long after the last key or click. */
export const CURSOR_HOLD_MS = 15_000;

export const useListView = defineStore("listView", () => {
  const alarms = useAlarms();
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

  function reorder(): void {
    const wanted: AlarmRow[] = [];
    for (const row of alarms.rows.values()) if (test.value(row)) wanted.push(row);
    // Nearly sorted input (the map keeps insertion order) is cheap for the engine's merge sort.
    shown.value = wanted.sort(compareRows);
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

  const touch = () => {
    now.value = Date.now();
    cursorUntil.value = now.value + CURSOR_HOLD_MS;
  };
  function moveTo(alarm: string | null): void {
    cursor.value = alarm;
    touch();
  }
  function move(step: number, extend = false): void {
    const list = shown.value;
    if (!list.length) return;
    const i = list.findIndex((row) => row.alarm === cursor.value);
    const from = i < 0 ? (step > 0 ? -1 : list.length) : i;
    const to = Math.max(0, Math.min(list.length - 1, from + step));
    const row = list[to];
    if (!row) return;
    if (extend) {
      const start = list[i];
      const next = new Set(ticked.value).add(row.alarm);
      ticked.value = start ? next.add(start.alarm) : next;
    }
    moveTo(row.alarm);
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
    const live = shown.value.filter((row) => !gone.value.has(row.alarm));
    const chosen = live.filter((row) => ticked.value.has(row.alarm));
    if (chosen.length || ticked.value.size) return chosen;
    return live.filter((row) => row.alarm === cursor.value);
  }
  const tick = () => {
    now.value = Date.now();
  };

  return {
    query, priorities, frozenAt, pointerInside, cursor, ticked, now, shown, gone, fresh, held,
    reorder, moveTo, move, toggle, togglePriority, toggleFreeze, clearSelection, release,
    jumpToOldest, targets, tick, touch,
  };
});
