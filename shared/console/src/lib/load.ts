// Fetching for screens: one answer that may be polled, a list by pages, one action at a time.
// It words nothing; whoever uses it shows `failed`.
import { onBeforeUnmount, ref, shallowRef } from "vue";
import { ApiError, get } from "@/api/client";

/** Whatever was thrown, as something that can be worded. */
export const asError = (reason: unknown): ApiError =>
  reason instanceof ApiError ? reason : new ApiError("bad_answer");

/** One answer, kept new every `everyMs` while the component lives; the newest request wins. */
export function useLoad<T>(fetcher: () => Promise<T>, everyMs = 0) {
  const data = shallowRef<T | null>(null);
  const failed = shallowRef<ApiError | null>(null);
  const busy = ref(false);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let round = 0;
  let gone = false;

  async function load(): Promise<void> {
    const mine = ++round;
    clearTimeout(timer);
    busy.value = true;
    try {
      const got = await fetcher();
      if (mine !== round) return;
      data.value = got;
      failed.value = null;
    } catch (reason) {
      if (mine === round) failed.value = asError(reason);
    } finally {
      if (mine === round) {
        busy.value = false;
        if (everyMs && !gone) timer = setTimeout(() => void load(), everyMs);
      }
    }
  }
  onBeforeUnmount(() => {
    gone = true;
    round++;
    clearTimeout(timer);
  });
  return { data, failed, busy, load };
}

interface Page<T> {
  items: T[];
  next: string | null;
}

/** A list by pages; `path` says where, without `cursor`. */
export function usePages<T>(path: () => string) {
  const items = shallowRef<T[]>([]);
  const next = ref<string | null>(null);
  const failed = shallowRef<ApiError | null>(null);
  const busy = ref(false);
  const loaded = ref(false);
  let round = 0;

  async function fetchPage(cursor: string | null): Promise<void> {
    const mine = ++round;
    busy.value = true;
    const base = path();
    const mark = base.includes("?") ? "&" : "?";
    try {
      const page = await get<Page<T>>(
        cursor ? `${base}${mark}cursor=${encodeURIComponent(cursor)}` : base,
      );
      if (mine !== round) return;
      items.value = cursor ? [...items.value, ...page.items] : page.items;
      next.value = page.next;
      failed.value = null;
      loaded.value = true;
    } catch (reason) {
      if (mine === round) failed.value = asError(reason);
    } finally {
      if (mine === round) busy.value = false;
    }
  }
  const reload = () => fetchPage(null);
  const more = () => (next.value && !busy.value ? fetchPage(next.value) : Promise.resolve());
  onBeforeUnmount(() => {
    round++;
  });
  return { items, next, failed, busy, loaded, reload, more };
}

/** One action at a time; `true` when it was taken. */
export function useAct() {
  const busy = ref(false);
  const failed = shallowRef<ApiError | null>(null);
  async function act(doing: () => Promise<unknown>): Promise<boolean> {
    if (busy.value) return false;
    busy.value = true;
    failed.value = null;
    try {
      await doing();
      return true;
    } catch (reason) {
      failed.value = asError(reason);
      return false;
    } finally {
      busy.value = false;
    }
  }
  return { busy, failed, act };
}

/** Query parameters without the empty ones. */
export function query(values: Record<string, string | number | null | undefined>): string {
  const all = new URLSearchParams();
  for (const [key, value] of Object.entries(values))
    if (value !== null && value !== undefined && value !== "") all.set(key, String(value));
  const text = all.toString();
  return text ? `?${text}` : "";
}
