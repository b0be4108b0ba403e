// The life of an assignment as the desk sees it: what may be done next, and which clock runs.
import type { Assignment, AssignmentMove, Resource } from "@/api/types";

const MOVES: Record<string, readonly AssignmentMove[]> = {
  offered: ["accept", "decline", "cancel"],
  accepted: ["depart", "arrive", "decline", "cancel"],
  en_route: ["arrive", "decline", "cancel"],
  on_site: ["finish", "cancel"],
};
/** What may be done with it now. */
export const movesOf = (state: string): readonly AssignmentMove[] => MOVES[state] ?? [];
/** These want a word why. */
export const needsNote = (move: AssignmentMove): boolean => move === "decline" || move === "cancel";

export interface Sla {
  what: "accept" | "arrive";
  /** Milliseconds left; negative: over since. */
  left: number;
  over: boolean;
}
/** The clocks that run, the nearer one first. */
export function clocks(a: Assignment, now: number): Sla[] {
  const one = (what: Sla["what"], at: number): Sla => ({ what, left: at - now, over: now >= at });
  if (a.state === "offered") return [one("accept", a.accept_by), one("arrive", a.on_site_by)];
  if (a.state === "accepted" || a.state === "en_route") return [one("arrive", a.on_site_by)];
  return [];
}

/** Those whose clock ends first on top; what has no clock any more last. */
export function dispatchOrder(now: number) {
  const due = (a: Assignment) => clocks(a, now)[0]?.left ?? Number.POSITIVE_INFINITY;
  return (a: Assignment, b: Assignment) => due(a) - due(b) || b.offered_at - a.offered_at || a.id.localeCompare(b.id);
}

/** Who can be asked: free, with all the skills; those at the site first. */
export function able(resources: readonly Resource[], skills: readonly string[], site: string): Resource[] {
  return resources
    .filter((r) => r.available && !r.busy && skills.every((s) => r.skills.includes(s)))
    .sort((a, b) => Number(b.site === site) - Number(a.site === site) || a.id.localeCompare(b.id));
}

/** Words between commas or spaces, each once. */
export const wordsOf = (typed: string): string[] => [...new Set(typed.split(/[\s,，、;；]+/).filter(Boolean))];
