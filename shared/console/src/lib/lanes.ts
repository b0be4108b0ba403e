// Conservation of messages.
import type { LaneCounts } from "@/api/types";

/** What was produced and is accounted for nowhere; 0 when the sum holds. */
export const missing = (lane: LaneCounts) =>
  lane.produced - lane.delivered - lane.buffered - lane.dropped - lane.quarantined;
