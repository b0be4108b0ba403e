// The live picture: snapshot plus deltas in one map. Order and selection live in `listView`.
// It displays what the server says and never anticipates it.
import { defineStore } from "pinia";
import { computed, ref, shallowRef, triggerRef } from "vue";
import { ApiError, get } from "@/api/client";
import type { AlarmDelta, AlarmRow, AlarmSnapshot, Banner } from "@/api/types";
import { isAudible } from "@/lib/alarmOrder";

const RESYNC_PAUSE_MS = 1_000;
const MAX_WAITING = 2_000;

export const useAlarms = defineStore("alarms", () => {
  /** alarm -> newest row; shallow, so that ten thousand rows stay out of deep reactivity. */
  const rows = shallowRef(new Map<string, AlarmRow>());
  const banner = shallowRef<Banner | null>(null);
  const epoch = ref<string | null>(null);
  const seq = ref(0);
  const at = ref(0);
  const loaded = ref(false);
  const problem = shallowRef<ApiError | null>(null);
  /** Server clock minus this machine's clock, at the newest frame. */
  const clockAhead = ref(0);
  /** Counts alarms that began to sound; the horn listens to it. */
  const newSounding = ref(0);
  const changed = shallowRef<{ rows: readonly AlarmRow[]; removed: readonly string[] }>({
    rows: [],
    removed: [],
  });
  const resyncs = ref(0);
  const position = computed(() => (epoch.value ? `${epoch.value}-${seq.value}` : null));

  let waiting: AlarmDelta[] = [];
  let fetching: Promise<void> | null = null;
  let again = false;
  let lastFetch = 0;

  function countSounding(next: readonly AlarmRow[], before: Map<string, AlarmRow>): void {
    for (const row of next) {
      if (!isAudible(row)) continue;
      const old = before.get(row.alarm);
      const known =
        old?.occurrence === row.occurrence &&
        old.annunciated_version >= row.annunciated_version &&
        isAudible(old);
      if (!known) newSounding.value++;
    }
  }

  function applySnapshot(snapshot: AlarmSnapshot): void {
    const before = rows.value;
    const next = new Map(snapshot.rows.map((row) => [row.alarm, row]));
    const removed = [...before.keys()].filter((alarm) => !next.has(alarm));
    epoch.value = snapshot.epoch;
    seq.value = snapshot.seq;
    at.value = snapshot.at;
    clockAhead.value = snapshot.at - Date.now();
    rows.value = next;
    banner.value = snapshot.banner;
    loaded.value = true;
    problem.value = null;
    countSounding(snapshot.rows, before);
    changed.value = { rows: snapshot.rows, removed };
    const late = waiting;
    waiting = [];
    for (const delta of late) applyDelta(delta);
  }

  /** Merge one delta; a gap or another epoch asks for the whole picture again. */
  function applyDelta(delta: AlarmDelta): void {
    if (fetching) {
      waiting.push(delta);
      // Bounded: what is dropped here shows as a gap after the snapshot and is fetched again.
      if (waiting.length > MAX_WAITING) waiting.shift();
      return;
    }
    if (delta.epoch !== epoch.value) return void resync();
    if (delta.seq <= seq.value) return;
    if (delta.seq !== seq.value + 1) return void resync();
    countSounding(delta.rows, rows.value);
    for (const row of delta.rows) rows.value.set(row.alarm, row);
    for (const alarm of delta.removed) rows.value.delete(alarm);
    seq.value = delta.seq;
    at.value = delta.at;
    clockAhead.value = delta.at - Date.now();
    banner.value = delta.banner;
    triggerRef(rows);
    changed.value = { rows: delta.rows, removed: delta.removed };
  }

  async function load(): Promise<void> {
    const pause = lastFetch + RESYNC_PAUSE_MS - Date.now();
    if (pause > 0) await new Promise((done) => setTimeout(done, pause));
    lastFetch = Date.now();
    let snapshot: AlarmSnapshot | null = null;
    try {
      snapshot = await get<AlarmSnapshot>("/api/alarms");
    } catch (reason) {
      problem.value = reason instanceof ApiError ? reason : new ApiError("bad_answer");
      waiting = [];
    }
    fetching = null;
    if (snapshot) applySnapshot(snapshot);
  }

  /** Fetch the whole picture; calls during a fetch share it, and one more follows. */
  function resync(): Promise<void> {
    resyncs.value++;
    if (fetching) {
      again = true;
      return fetching;
    }
    fetching = load().then(() => {
      if (!again) return;
      again = false;
      return resync();
    });
    return fetching;
  }

  function reset(): void {
    rows.value = new Map();
    banner.value = null;
    epoch.value = null;
    seq.value = 0;
    loaded.value = false;
    waiting = [];
  }

  return {
    rows, banner, epoch, seq, at, loaded, problem, clockAhead, newSounding, changed, resyncs,
    position, applySnapshot, applyDelta, resync, reset,
  };
});
