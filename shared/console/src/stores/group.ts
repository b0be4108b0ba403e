// The group's picture: factories and proposals, kept new by the cloud's stream.
import { defineStore } from "pinia";
import { ref, shallowRef } from "vue";
import { ApiError, get, post, seg } from "@/api/client";
import type { SseEvent } from "@/api/sse";
import type { DecisionRequest, Factory, FactoryList, Proposal, ProposalList } from "@/api/types";

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

export const useGroup = defineStore("group", () => {
  const factories = shallowRef<Factory[]>([]);
  const proposals = shallowRef<Proposal[]>([]);
  const loaded = ref(false);
  const problem = shallowRef<ApiError | null>(null);

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
  async function load(): Promise<void> {
    try {
      const [f, p] = await Promise.all([
        get<FactoryList>("/api/factories"),
        get<ProposalList>("/api/proposals"),
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
    if (event.event === "factories")
      mergeFactories((JSON.parse(event.data) as FactoryList).factories);
    else if (event.event === "proposals")
      mergeProposals((JSON.parse(event.data) as ProposalList).proposals);
    else if (event.event === "resync") void load();
    else if (problem.value) void load();
  }
  async function decide(id: string, decision: DecisionRequest): Promise<void> {
    mergeProposals([await post<Proposal>(`/api/proposals/${seg(id)}/decision`, decision)]);
  }
  return { factories, proposals, loaded, problem, mergeFactories, mergeProposals, load, onEvent, decide };
});
