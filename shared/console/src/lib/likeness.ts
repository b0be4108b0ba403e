// What a flood is told to be like, in few words: for rows of a list.
import type { Likeness, Text } from "@/api/types";

type Say = (key: string, params?: Record<string, unknown>) => string;
type Named = (text: Text | null | undefined) => string;

/** One line: like whom and why, or that nobody knows, or not yet. */
export function briefly(likeness: Likeness, t: Say, text: Named): string {
  if (likeness.state === "comparing") return t("incident.like.briefComparing");
  const near = likeness.nearest;
  if (likeness.state === "unknown" || !near) return t("incident.like.briefUnknown");
  return t("incident.like.brief", {
    site: text(near.site_name) || near.site,
    cause: text(near.cause_name) || near.cause,
  });
}

/** Trust as people read it: two digits, never rounded up to certainty. */
export const trusted = (trust: number): string => Math.min(0.99, Math.floor(trust * 100) / 100).toFixed(2);
