// The line of stages: what the detail says of each, or what follows from the state alone.
import type { RolloutBrief, RolloutStage } from "@/api/types";

export const STAGES = ["dry_run", "shadow", "canary_line", "canary_factory", "all"] as const;
export type Stage = (typeof STAGES)[number];
export type StageMark = RolloutStage["state"] | "paused";

export interface Stop {
  stage: Stage;
  mark: StageMark;
}

const STOPPED = new Set(["rolling_back", "rolled_back", "refused", "expired"]);

/** One mark for each stage. */
export function lineOf(
  state: RolloutBrief["state"],
  stage: RolloutBrief["stage"],
  stages?: readonly RolloutStage[],
): Stop[] {
  const held = state === "paused";
  if (stages)
    return stages.map((s) => ({ stage: s.stage, mark: held && s.state === "now" ? "paused" : STOPPED.has(state) && s.state === "now" ? "stopped" : s.state }));
  const here = stage ? STAGES.indexOf(stage) : -1;
  return STAGES.map((one, i) => {
    if (state === "done") return { stage: one, mark: i <= here ? "passed" : "skipped" };
    if (i < here) return { stage: one, mark: "passed" };
    if (i > here) return { stage: one, mark: "ahead" };
    return { stage: one, mark: STOPPED.has(state) ? "stopped" : held ? "paused" : "now" };
  });
}
