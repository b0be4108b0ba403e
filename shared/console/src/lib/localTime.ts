// Moments as a `datetime-local` field writes them: local time without a zone.
const two = (n: number) => String(n).padStart(2, "0");

export function toLocal(ms: number): string {
  const d = new Date(ms);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}T${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}
/** 0 where it is no moment. */
export function fromLocal(written: string): number {
  const ms = new Date(written).getTime();
  return Number.isFinite(ms) ? ms : 0;
}
