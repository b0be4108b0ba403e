// Numbers, times and ages as the console writes them.

const two = (n: number) => String(n).padStart(2, "0");

/** Local wall time `hh:mm:ss`. */
export function clock(ms: number): string {
  const d = new Date(ms);
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

/** Local date and time with the zone, for tooltips. */
export function full(ms: number): string {
  const d = new Date(ms);
  const minutes = -d.getTimezoneOffset();
  const sign = minutes < 0 ? "-" : "+";
  const zone = `${sign}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`;
  const date = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
  return `${date} ${clock(ms)}.${String(d.getMilliseconds()).padStart(3, "0")} UTC${zone}`;
}

/** Time of today as a clock, of another day with its date. */
export function when(ms: number, now = Date.now()): string {
  const d = new Date(ms);
  if (d.toDateString() === new Date(now).toDateString()) return clock(ms);
  return `${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}`;
}

/** A relative age: 27s, 5m, 1h01, 3d. */
export function age(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s}s`;
  const m = Math.floor(s / 60);
  if (m < 60) return `${m}m`;
  const h = Math.floor(m / 60);
  return h < 24 ? `${h}h${two(m % 60)}` : `${Math.floor(h / 24)}d${h % 24}h`;
}

/** At most four significant digits, no trailing noise. */
export function num(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "—";
  if (Math.abs(value) >= 1000) return value.toFixed(0);
  return String(Number(value.toPrecision(4)));
}

/** A setting to its last digit: what is approved must be what is shown. */
export const exact = (value: number | null | undefined): string =>
  value === null || value === undefined ? "—" : String(Number(value.toPrecision(9)));

/** Whole numbers with thin group spaces, for counters. */
export const count = (value: number) => value.toLocaleString("en").replaceAll(",", "\u202f");
