// The lists of a hand-over in the order in which they are read. Pure.
import type { HandoverContent } from "@/api/types";

/** What waits for somebody comes first, what only goes on comes last. */
export const SECTIONS = [
  "unacknowledged", "standing", "stale", "shelved", "suppressed", "out_of_service", "assignments",
  "comments", "incidents", "runs",
] as const satisfies readonly (keyof HandoverContent)[];
export type Section = (typeof SECTIONS)[number];

/** A frozen report may be older than a list: what it lacks is empty. */
export const listOf = <S extends Section>(content: Partial<HandoverContent>, section: S) =>
  (content[section] ?? []) as HandoverContent[S];
