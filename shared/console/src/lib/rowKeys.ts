// j/k and arrows over the rows of a table; Enter is the row's own.
import { useKeys } from "./keys";

const ROWS = "main [data-row]";

function move(by: number): void {
  const rows = [...document.querySelectorAll<HTMLElement>(ROWS)];
  if (!rows.length) return;
  const at = rows.indexOf(document.activeElement as HTMLElement);
  const to = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by));
  rows[to]?.focus();
  rows[to]?.scrollIntoView({ block: "nearest" });
}

/** Rows are the elements with `data-row` inside the page. */
export function useRowKeys(more: Record<string, (e: KeyboardEvent) => void> = {}): void {
  useKeys({
    j: () => move(1),
    ArrowDown: () => move(1),
    k: () => move(-1),
    ArrowUp: () => move(-1),
    ...more,
  });
}
