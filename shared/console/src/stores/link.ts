// The one live connection of this page: connects, reconnects with backoff, tells how fresh it is.
// It hands events on and knows nothing of what they mean.
import { defineStore } from "pinia";
import { computed, ref } from "vue";
import { ApiError } from "@/api/client";
import { readStream, type SseEvent } from "@/api/sse";

export const STALE_MS = 10_000;
const BACKOFF_MS = [500, 1_000, 2_000, 4_000, 8_000];

export type LinkState = "connecting" | "open" | "lost";

export const useLink = defineStore("link", () => {
  const state = ref<LinkState>("connecting");
  const lastHeard = ref<number | null>(null);
  const startedAt = ref(Date.now());
  const now = ref(Date.now());
  const loggedOut = ref(false);
  const stale = computed(() => now.value - (lastHeard.value ?? startedAt.value) > STALE_MS);
  const staleSince = computed(() => lastHeard.value ?? startedAt.value);

  let abort: AbortController | null = null;
  let position: () => string | null = () => null;
  let tries = 0;
  let attemptAt = 0;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let tick: ReturnType<typeof setInterval> | undefined;

  const alive = () => {
    lastHeard.value = Date.now();
    now.value = lastHeard.value;
  };

  async function run(onEvent: (e: SseEvent) => void, mine: AbortController): Promise<void> {
    try {
      await readStream("/api/stream", position(), mine.signal, {
        open: () => {
          state.value = "open";
          tries = 0;
        },
        alive,
        event: onEvent,
      });
    } catch (reason) {
      if (reason instanceof ApiError && reason.status === 401) loggedOut.value = true;
    }
    if (mine.signal.aborted) return;
    state.value = "lost";
    if (loggedOut.value) return;
    const wait = BACKOFF_MS[Math.min(tries++, BACKOFF_MS.length - 1)] ?? 8_000;
    // A little chance keeps fifty consoles from knocking at the same instant.
    retry = setTimeout(() => connect(onEvent), wait * (0.75 + Math.random() / 2));
  }

  function connect(onEvent: (e: SseEvent) => void): void {
    abort?.abort();
    clearTimeout(retry);
    attemptAt = Date.now();
    abort = new AbortController();
    void run(onEvent, abort);
  }

  function start(onEvent: (e: SseEvent) => void, at: () => string | null = () => null): void {
    stop();
    position = at;
    loggedOut.value = false;
    startedAt.value = Date.now();
    lastHeard.value = null;
    state.value = "connecting";
    tick = setInterval(() => {
      now.value = Date.now();
      // A half-open connection never errors: drop what has been silent for too long, also
      // an attempt that nobody answers.
      if (!loggedOut.value && stale.value && now.value - attemptAt > STALE_MS) {
        state.value = "lost";
        connect(onEvent);
      }
    }, 1_000);
    connect(onEvent);
  }

  function stop(): void {
    abort?.abort();
    clearTimeout(retry);
    clearInterval(tick);
    now.value = Date.now();
  }

  return { state, lastHeard, now, stale, staleSince, loggedOut, start, stop, alive };
});
