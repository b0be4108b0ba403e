// Pure rules of the lists of what is kept from people: what ends first, how much is left.
import type { HeldAlarm } from "@/api/types";

export type HeldKind = "shelved" | "suppressed" | "out-of-service";
export const HELD_KINDS: readonly HeldKind[] = ["shelved", "suppressed", "out-of-service"];
/** What ends so soon stands out. */
export const SOON_MS = 600_000;

/** What is left by the server's clock, which goes on between two answers; null without an end. */
export const leftOf = (item: HeldAlarm, now: number): number | null =>
  item.until === null ? null : item.until - now;

/** What ends first comes first, what never ends by itself last. */
export function byEnd(a: HeldAlarm, b: HeldAlarm): number {
  const [x, y] = [a.until ?? Number.MAX_SAFE_INTEGER, b.until ?? Number.MAX_SAFE_INTEGER];
  return x - y || a.priority - b.priority || a.alarm.localeCompare(b.alarm);
}

/** The share of the time that is left, for the bar; null where either end is unknown. */
export function shareLeft(item: HeldAlarm, now: number): number | null {
  if (item.until === null || item.since === null || item.until <= item.since) return null;
  return Math.max(0, Math.min(1, (item.until - now) / (item.until - item.since)));
}
