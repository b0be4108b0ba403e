// The one place that names the shapes of the wire; they are generated from OpenAPI.
import type { components as Brain } from "./schema.brain";
import type { components as Cloud } from "./schema.cloud";

/** Servers always send fields that have defaults; the schema calls some of them optional. */
type Full<T> = T extends (infer U)[]
  ? Full<U>[]
  : T extends object
    ? { [K in keyof T]-?: Full<Exclude<T[K], undefined>> }
    : T;
type B = { [K in keyof Brain["schemas"]]: Full<Brain["schemas"][K]> };
type C = { [K in keyof Cloud["schemas"]]: Full<Cloud["schemas"][K]> };

export type Text = B["Text"];
export type Problem = B["Problem"];
export type Session = B["Session"];
export type AlarmRow = B["AlarmRow"];
export type AlarmState = AlarmRow["state"];
export type Banner = B["Banner"];
export type AlarmSnapshot = B["AlarmSnapshot"];
export type AlarmDelta = B["AlarmDelta"];
export type AlarmDetail = B["AlarmDetail"];
export type TimelineEntry = B["TimelineEntry"];
export type AckItem = B["AckItem"];
export type AckRequest = B["AckRequest"];
export type ItemResult = B["ItemResult"];
export type ActionResult = B["ActionResult"];
export type OutcomeRequest = B["OutcomeRequest"];
export type Samples = B["Samples"];
export type Snippet = B["SnippetOut"];
export type Run = B["Run"];
export type RunStep = B["RunStep"];
export type RunList = B["RunList"];
export type Ask = B["Ask"];
export type AnswerRequest = B["AnswerRequest"];
export type Fleet = B["Fleet"];
export type EdgeHealth = B["EdgeHealth"];
export type LaneCounts = B["LaneCounts"];

export type Factory = C["Factory"];
export type FactoryList = C["FactoryList"];
export type Proposal = C["Proposal"];
export type ProposalList = C["ProposalList"];
export type Setting = C["Setting"];
export type CandidateScore = C["CandidateScore"];
export type RolloutState = C["RolloutState"];
export type DecisionRequest = C["DecisionRequest"];
