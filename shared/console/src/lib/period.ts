// Whole days (UTC) since 1970, as the group counts its figures.
const DAY_MS = 86_400_000;
export const SPANS = [7, 30, 90] as const;

export const dayOf = (ms: number): number => Math.floor(ms / DAY_MS);
/** `since` and `until` of the last `days` days, today included. */
export const lastDays = (days: number, now: number): { since: number; until: number } => ({
  since: dayOf(now) - days + 1,
  until: dayOf(now),
});
/** `MM-DD` of a day. */
export const dayName = (day: number): string => new Date(day * DAY_MS).toISOString().slice(5, 10);
