// The group's picture, kept new by the cloud's stream: factories, proposals, roll-outs, dispatch.
import { defineStore } from "pinia";
import { type Ref, ref, type ShallowRef, shallowRef } from "vue";
import { type ApiError, get, post, seg } from "@/api/client";
import type { SseEvent } from "@/api/sse";
import type {
  Assignment, AssignmentList, DecisionRequest, DeskMessage, EarlyWarningLearning, Factory, FactoryList, GroupFlood,
  GroupFloodList, MessageList, Notice, NoticeList,
  Proposal, ProposalList, RolloutList, RolloutSummary, ShelvingList, ShelvingProposal, UrgentFactory, UrgentList,
} from "@/api/types";
import { asError } from "@/lib/load";

/** So long after it was asked is what failed asked again. */
const AGAIN_MS = 3_000;

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
  /** How many there are beyond those that were sent. */
  more: Ref<number>;
  /** How often it was heard: an answer that the stream has overtaken is dropped. */
  heard: number;
}

function section<T, A>(path: string, rowsOf: (answer: A) => T[]): Section<T> {
  const rows: ShallowRef<T[] | null> = shallowRef(null);
  const made: Section<T> = {
    rows, path, heard: 0, more: ref(0),
    take: (answer) => {
      made.heard++;
      made.more.value = (answer as { more?: number }).more ?? 0;
      rows.value = rowsOf(answer as A);
    },
  };
  return made;
}

export const useGroup = defineStore("group", () => {
  const factories = shallowRef<Factory[]>([]);
  const proposals = shallowRef<Proposal[]>([]);
  /** Whether the factories, and the proposals, came once. */
  const loaded = ref(false);
  const judged = ref(false);
  /** What could not be fetched, each part by its name: the others are shown all the same. */
  const troubles = shallowRef<Readonly<Record<string, ApiError>>>({});
  let triedAt = 0;
  let trying = false;
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
  function wentWell(name: string): void {
    if (!troubles.value[name]) return;
    const { [name]: _, ...others } = troubles.value;
    troubles.value = others;
  }
  async function fetchPart(name: string): Promise<void> {
    const one = sections[name];
    const before = one?.heard;
    try {
      if (name === "factories") {
        const answer = await get<FactoryList>("/api/factories");
        factories.value = [];
        mergeFactories(answer.factories);
        loaded.value = true;
      } else if (name === "proposals") {
        const answer = await get<ProposalList>("/api/proposals");
        proposals.value = [];
        mergeProposals(answer.proposals);
        judged.value = true;
      } else if (one) {
        const answer = await get<unknown>(one.path);
        if (one.heard === before) one.take(answer);
      }
      wentWell(name);
    } catch (reason) {
      if (one?.heard === before) troubles.value = { ...troubles.value, [name]: asError(reason) };
    }
  }
  /** Fetch one list again, after an act of one's own; that it failed is said where it is shown. */
  const refresh = (name: string) => fetchPart(name);
  /** An act that answers with the list as this viewer sees it; what the stream overtook is asked. */
  async function acted(name: "notices" | "shelving", act: () => Promise<unknown>): Promise<void> {
    const one = sections[name];
    const before = one?.heard;
    const answer = await act();
    if (one && one.heard === before) one.take(answer);
    else await refresh(name);
  }
  /** Every part by itself, the factories and the proposals first. */
  async function load(names = ["factories", "proposals", ...Object.keys(sections)]): Promise<void> {
    triedAt = Date.now();
    await Promise.allSettled(names.map(fetchPart));
  }
  /** Ask again for what failed, with a sign of life of the stream. */
  async function again(): Promise<void> {
    const failed = Object.keys(troubles.value);
    if (trying || !failed.length || Date.now() - triedAt < AGAIN_MS) return;
    trying = true;
    await load(failed);
    trying = false;
  }
  function onEvent(event: SseEvent): void {
    const one = Object.hasOwn(sections, event.event) ? sections[event.event] : undefined;
    if (event.event === "factories")
      mergeFactories((JSON.parse(event.data) as FactoryList).factories);
    else if (event.event === "proposals")
      mergeProposals((JSON.parse(event.data) as ProposalList).proposals);
    else if (one) {
      one.take(JSON.parse(event.data));
      wentWell(event.event);
    } else if (event.event === "heartbeat") {
      const { at } = JSON.parse(event.data) as { at?: number };
      if (at) clockAhead.value = at - Date.now();
    }
    if (event.event === "resync") void load();
    else void again();
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
    factories, proposals, loaded, judged, troubles, clockAhead, noticesMore: notices.more, shelvingMore: shelving.more,
    rollouts: rollouts.rows, urgency: urgency.rows, assignments: assignments.rows, messages: messages.rows, floods: floods.rows, warnings: warnings.rows, notices: notices.rows, shelving: shelving.rows, likenessOf, acted,
    mergeFactories, mergeProposals, load, refresh, onEvent, decide, named,
  };
});
