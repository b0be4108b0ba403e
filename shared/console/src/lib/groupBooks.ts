// Playbooks as the group keeps them: by name, how far a roll-out is, what may be done about it.
import type { PlaybookRollout, PlaybookRolloutAct, PlaybookVariant, RankedContext } from "@/api/types";

export interface Book {
  name: string;
  versions: PlaybookVariant[];
  rollouts: PlaybookRollout[];
}

/** Every playbook that has a version or a roll-out; those with something under way first. */
export function booksOf(variants: readonly PlaybookVariant[], rollouts: readonly PlaybookRollout[]): Book[] {
  const names = new Set([...variants.map((v) => v.playbook), ...rollouts.map((r) => r.playbook)]);
  const busy = (b: Book) => Number(b.rollouts.some((r) => isOpen(r.state)));
  return [...names]
    .map((name) => ({
      name,
      versions: variants.filter((v) => v.playbook === name).sort((a, b) => b.version - a.version),
      rollouts: rollouts.filter((r) => r.playbook === name).sort((a, b) => b.created_at - a.created_at),
    }))
    .sort((a, b) => busy(b) - busy(a) || a.name.localeCompare(b.name));
}

const ENDED = new Set(["done", "rolled_back", "refused", "expired"]);
export const isOpen = (state: string): boolean => !ENDED.has(state);

/** What people may do now; whoever proposed it approves nothing. */
export function actsOf(r: Pick<PlaybookRollout, "state" | "created_by">, me: string): PlaybookRolloutAct[] {
  switch (r.state) {
    case "proposed":
      return r.created_by === me ? ["refuse"] : ["approve", "refuse"];
    case "canary":
      return ["pause", "refuse"];
    case "all":
      return ["pause", "roll_back"];
    case "paused":
      return ["resume", "roll_back"];
    case "done":
      return ["roll_back"];
    default:
      return [];
  }
}

/** The stages as a line; the one where it is, or where it stopped. */
export const BOOK_STAGES = ["proposed", "canary", "all", "done"] as const;
export type BookMark = "passed" | "now" | "ahead" | "stopped";
export function bookLine(r: Pick<PlaybookRollout, "state" | "agreed_by" | "pushes" | "sites">): BookMark[] {
  const others = r.pushes.some((p) => p.site !== r.sites[0] && p.kind !== "rollback");
  const here = r.state === "done" ? 3 : r.state === "all" || others ? 2 : r.agreed_by || r.state === "canary" ? 1 : 0;
  const halted = !isOpen(r.state) && r.state !== "done";
  return BOOK_STAGES.map((_, i) => (i < here || r.state === "done" ? "passed" : i > here ? "ahead" : halted || r.state === "rolling_back" ? "stopped" : "now"));
}

/** The newest push of each factory, the canary first. */
export function newestPushes(r: Pick<PlaybookRollout, "pushes" | "sites">): PlaybookRollout["pushes"] {
  const bySite = new Map<string, PlaybookRollout["pushes"][number]>();
  for (const push of r.pushes) {
    const known = bySite.get(push.site);
    if (!known || known.counter < push.counter) bySite.set(push.site, push);
  }
  return r.sites.map((s) => bySite.get(s)).filter((p) => p !== undefined);
}

/** All runs together come first; it is the last that the server sends. */
export const contextsOf = (contexts: readonly RankedContext[]): RankedContext[] => {
  const all = contexts.at(-1);
  return all ? [all, ...contexts.slice(0, -1)] : [];
};
