// Trying settings: what of a form differs from what runs, and which bounds hold it.
import type { TunablePoint, WishedSetting } from "@/api/types";

export const ITEMS = ["limit", "deadband", "on_delay_s", "off_delay_s"] as const;
export type Item = (typeof ITEMS)[number];
export type TryForm = Record<Item, number>;

export const formOf = (p: Pick<TunablePoint, "setting">): TryForm => ({
  limit: p.setting.limit ?? 0,
  deadband: p.setting.deadband,
  on_delay_s: p.setting.on_delay_s,
  off_delay_s: p.setting.off_delay_s,
});

/** Only what differs from what runs; null: nothing does, or something is no number. */
export function wishOf(p: Pick<TunablePoint, "setting">, form: TryForm): WishedSetting | null {
  const wish: WishedSetting = { limit: null, deadband: null, on_delay_s: null, off_delay_s: null };
  let any = false;
  for (const item of ITEMS) {
    if (typeof form[item] !== "number" || !Number.isFinite(form[item])) return null;
    if (form[item] === p.setting[item]) continue;
    wish[item] = form[item];
    any = true;
  }
  return any ? wish : null;
}

export interface Reach {
  min: number;
  max: number;
  step: number;
  /** The engineer said so; else it is only where the slider ends. */
  bound: boolean;
}

/** How far a slider goes: the engineer's bounds where there are any. */
export function reachOf(p: Pick<TunablePoint, "setting" | "bounds">, item: Item): Reach {
  const b = p.bounds;
  const now = p.setting[item] ?? 0;
  const step = b.step || Math.abs(now) / 50 || 1;
  if (item === "limit")
    return {
      min: b.limit_min ?? now - 3 * step, max: b.limit_max ?? now + 3 * step, step: Number((step / 10).toPrecision(3)),
      bound: b.limit_min !== undefined || b.limit_max !== undefined,
    };
  if (item === "deadband") return { min: 0, max: b.deadband_max ?? Math.max(now * 4, step), step: Number((step / 20).toPrecision(3)), bound: b.deadband_max !== undefined };
  const most = b[item === "on_delay_s" ? "on_delay_max_ms" : "off_delay_max_ms"];
  return { min: 0, max: most !== undefined && most > 0 ? most / 1000 : Math.max(60, now * 3), step: 0.5, bound: most !== undefined };
}
