// Prepares the candidates of a proposal for their plot.
import type { CandidateScore, Proposal, Setting } from "@/api/types";

export type Mark = "current" | "proposed" | null;
export interface Bar {
  score: CandidateScore;
  label: string;
  mark: Mark;
  /** 0..1 of the dearest candidate. */
  share: number;
}

const same = (a: Setting, b: Setting) =>
  a.limit === b.limit &&
  a.deadband === b.deadband &&
  a.on_delay_s === b.on_delay_s &&
  a.off_delay_s === b.off_delay_s &&
  a.filter === b.filter;

/** Cheapest first; the label names only what differs from the current setting. */
export function bars(proposal: Proposal, name: (key: keyof Setting) => string): Bar[] {
  const dearest = Math.max(...proposal.candidates.map((c) => c.cost), Number.EPSILON);
  const keys: (keyof Setting)[] = ["limit", "deadband", "on_delay_s", "off_delay_s"];
  return [...proposal.candidates]
    .sort((a, b) => a.cost - b.cost)
    .map((score) => {
      const differs = keys.filter((k) => score.setting[k] !== proposal.current[k]);
      const named = differs.length ? differs : (["limit"] as const);
      const mark: Mark = same(score.setting, proposal.proposed)
        ? "proposed"
        : same(score.setting, proposal.current)
          ? "current"
          : null;
      const label = named.map((k) => `${name(k)} ${score.setting[k] ?? "—"}`).join(" · ");
      return { score, label, mark, share: Math.max(0, score.cost / dearest) };
    });
}
