// The group's picture, kept new by the cloud's stream: factories, proposals, roll-outs, dispatch.
import { defineStore } from "pinia";
import { ref, type ShallowRef, shallowRef } from "vue";
import { ApiError, get, post, seg } from "@/api/client";
import type { SseEvent } from "@/api/sse";
import type {
  Assignment, AssignmentList, DecisionRequest, DeskMessage, EarlyWarningLearning, Factory, FactoryList, GroupFlood,
  GroupFloodList, MessageList, Notice, NoticeList,
  Proposal, ProposalList, RolloutList, RolloutSummary, ShelvingList, ShelvingProposal, UrgentFactory, UrgentList,
} from "@/api/types";

/** Most urgent first: cut off, then worst unacknowledged priority, then how many wait. */
export function byUrgency(a: Factory, b: Factory): number {
  const rank = (f: Factory) => (f.unacked ? (f.worst_priority ?? 9) : 10);
  return (
    Number(a.online) - Number(b.online) ||
    rank(a) - rank(b) ||
    b.unacked - a.unacked ||
    b.active - a.active ||
    a.site.localeCompare(b.site)
  );
}

/** A list that the stream always sends whole; null until it came once. */
interface Section<T> {
  rows: ShallowRef<T[] | null>;
  path: string;
  take: (answer: unknown) => void;
  /** How often it was heard: an answer that the stream has overtaken is dropped. */
  heard: number;
}

function section<T, A>(path: string, rowsOf: (answer: A) => T[]): Section<T> {
  const rows: ShallowRef<T[] | null> = shallowRef(null);
  const made: Section<T> = {
    rows, path, heard: 0,
    take: (answer) => {
      made.heard++;
      rows.value = rowsOf(answer as A);
    },
  };
  return made;
}

export const useGroup = defineStore("group", () => {
  const factories = shallowRef<Factory[]>([]);
  const proposals = shallowRef<Proposal[]>([]);
  const loaded = ref(false);
  const problem = shallowRef<ApiError | null>(null);
  /** Server clock minus this machine's, from the stream's sign of life. */
  const clockAhead = ref(0);
  const rollouts = section<RolloutSummary, RolloutList>("/api/rollouts", (a) => a.rollouts);
  const urgency = section<UrgentFactory, UrgentList>("/api/dispatch/factories", (a) => a.factories);
  const assignments = section<Assignment, AssignmentList>("/api/dispatch/assignments?live=true", (a) => a.assignments);
  const messages = section<DeskMessage, MessageList>("/api/dispatch/messages", (a) => a.messages);
  const floods = section<GroupFlood, GroupFloodList>("/api/group/floods", (a) => a.floods);
  const warnings = section<EarlyWarningLearning, EarlyWarningLearning>("/api/early-warnings", (a) => [a]);
  const notices = section<Notice, Partial<NoticeList>>("/api/notices", (a) => a.notices ?? []);
  const shelving = section<ShelvingProposal, Partial<ShelvingList>>("/api/shelving-proposals", (a) => a.proposals ?? []);
  const sections: Record<string, Section<unknown>> = {
    notices: notices as Section<unknown>,
    shelving: shelving as Section<unknown>,
    early_warnings: warnings as Section<unknown>,
    floods: floods as Section<unknown>,
    rollouts: rollouts as Section<unknown>,
    urgency: urgency as Section<unknown>,
    assignments: assignments as Section<unknown>,
    messages: messages as Section<unknown>,
  };

  function mergeFactories(changed: readonly Factory[]): void {
    const bySite = new Map(factories.value.map((f) => [f.site, f]));
    for (const factory of changed) bySite.set(factory.site, factory);
    factories.value = [...bySite.values()].sort(byUrgency);
  }
  function mergeProposals(changed: readonly Proposal[]): void {
    const byId = new Map(proposals.value.map((p) => [p.id, p]));
    for (const proposal of changed) byId.set(proposal.id, proposal);
    const open = (p: Proposal) => Number(p.status !== "open");
    proposals.value = [...byId.values()].sort(
      (a, b) => open(a) - open(b) || b.created_at - a.created_at || a.id.localeCompare(b.id),
    );
  }
  /** Fetch one list again: after an act of one's own, before the stream tells it. */
  async function refresh(name: string): Promise<void> {
    const one = sections[name];
    if (!one) return;
    const before = one.heard;
    const answer = await get<unknown>(one.path);
    if (one.heard === before) one.take(answer);
  }
  /** The answer to an act of one's own is the newest list. */
  function put(name: "notices" | "shelving", rows: (Notice | ShelvingProposal)[]): void {
    const one = sections[name];
    if (!one) return;
    one.heard++;
    one.rows.value = rows;
  }
  async function load(): Promise<void> {
    try {
      const [f, p] = await Promise.all([
        get<FactoryList>("/api/factories"),
        get<ProposalList>("/api/proposals"),
        ...Object.keys(sections).map(refresh),
      ]);
      factories.value = [];
      proposals.value = [];
      mergeFactories(f.factories);
      mergeProposals(p.proposals);
      loaded.value = true;
      problem.value = null;
    } catch (reason) {
      problem.value = reason instanceof ApiError ? reason : new ApiError("bad_answer");
    }
  }
  function onEvent(event: SseEvent): void {
    const one = Object.hasOwn(sections, event.event) ? sections[event.event] : undefined;
    if (event.event === "factories")
      mergeFactories((JSON.parse(event.data) as FactoryList).factories);
    else if (event.event === "proposals")
      mergeProposals((JSON.parse(event.data) as ProposalList).proposals);
    else if (one) one.take(JSON.parse(event.data));
    else if (event.event === "resync") void load();
    else if (event.event === "heartbeat") {
      const { at } = JSON.parse(event.data) as { at?: number };
      if (at) clockAhead.value = at - Date.now();
      if (problem.value) void load();
    } else if (problem.value) void load();
  }
  async function decide(id: string, decision: DecisionRequest): Promise<void> {
    mergeProposals([await post<Proposal>(`/api/proposals/${seg(id)}/decision`, decision)]);
  }
  /** What an incident of a factory is told to be like. */
  const likenessOf = (site: string, incident: string) =>
    floods.rows.value?.find((f) => f.site === site && f.incident === incident)?.likeness ?? null;
  /** What a factory is called; its id where the group knows no name. */
  const named = (site: string) => factories.value.find((f) => f.site === site)?.name ?? null;

  return {
    factories, proposals, loaded, problem, clockAhead,
    rollouts: rollouts.rows, urgency: urgency.rows, assignments: assignments.rows, messages: messages.rows, floods: floods.rows, warnings: warnings.rows, notices: notices.rows, shelving: shelving.rows, likenessOf, put,
    mergeFactories, mergeProposals, load, refresh, onEvent, decide, named,
  };
});
