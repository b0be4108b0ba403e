// Rows and the banner as tests need them.
import type { AlarmRow, Banner } from "@/api/types";

export const BANNER: Banner = {
  by_priority: {}, unacked: 0, oldest_unacked_at: null, alarms_10min: 0, flood: false,
  flood_since: null, shelved: 0, suppressed: 0,
  out_of_service: 0, edges_online: 2, edges_total: 2, cloud_online: true, horn: false, early_warnings: 0, system: [],
};

/** One unacknowledged row. */
export function row(alarm: string, changes: Partial<AlarmRow> = {}): AlarmRow {
  return {
    alarm, occurrence: `o-${alarm}`, version: 1, annunciated_version: 1, edge: "e1",
    asset: "FUR-01", tag: alarm, name: { zh: "炉温高", en: "Temperature high" }, priority: 3,
    state: "unacknowledged", isa: "B", active: true, acked: false, value: 1, limit: 2, unit: "°C",
    raised_at: 1000, returned_at: null, received_at: 1000, acked_by: null, acked_at: null,
    also_acked_by: [], count: 1, late: false, local_action: null, run: null, outcome: null,
    ack_pending: false, system: false, alarm_class: "plant", assigned_to: "", comments: 0,
    shelf: null, suppressed_by: [], permit: null, pending: [], refused: null, incident: "",
    first_out: "", marks: [], hidden_behind: "", ...changes,
  };
}
