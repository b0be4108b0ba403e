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
export type ActionItem = B["ActionItem"];
export type ActionRequest = B["ActionRequest"];
export type HeldAlarm = B["HeldAlarm"];
export type HeldList = B["HeldList"];
export type KnownAlarm = B["KnownAlarm"];
export type KnownAlarms = B["KnownAlarms"];
export type Attachment = B["Attachment"];
export type AttachmentList = B["AttachmentList"];
export type HandoverContent = B["HandoverContent"];
export type HandoverDraft = B["HandoverDraft"];
export type HandoverEntry = B["HandoverEntry"];
export type HandoverReport = B["HandoverReport"];
export type HandoverList = B["HandoverList"];
export type StandingAlarm = B["StandingAlarm"];
export type Shift = B["Shift"];
export type OutcomeRequest = B["OutcomeRequest"];
export type Samples = B["Samples"];
export type Snippet = B["SnippetOut"];
export type Run = B["Run"];
export type RunStep = B["RunStep"];
export type RunList = B["RunList"];
export type Ask = B["Ask"];
export type AnswerRequest = B["AnswerRequest"];
export type JoinedAlarm = B["JoinedAlarm"];
export type PlaybookPage = B["PlaybookPage"];
export type PlaybookSummary = B["PlaybookSummary"];
export type PlaybookDetail = B["PlaybookDetail"];
export type PlaybookDone = B["PlaybookDone"];
export type PlaybookInput = B["InputOut"];
export type Explanation = B["Explanation"];
export type ReleaseText = B["ReleaseText"];
export type TemplateList = B["TemplateList"];
export type Finding = B["FindingOut"];
export type CheckOut = B["CheckOut"];
export type DraftPage = B["DraftPage"];
export type Draft = B["DraftOut"];
export type DraftDiff = B["DiffOut"];
export type Remark = B["RemarkOut"];
export type Replay = B["ReplayOut"];
export type TestResult = B["TestOut"];
export type Fleet = B["Fleet"];
export type EdgeHealth = B["EdgeHealth"];
export type LaneCounts = B["LaneCounts"];

export type Incident = B["IncidentOut"];
export type IncidentPage = B["IncidentPage"];
export type IncidentDetail = B["IncidentDetail"];
export type IncidentMember = B["IncidentMember"];
export type IncidentEntry = B["IncidentEntry"];
export type IncidentResult = B["IncidentResult"];
export type SimilarIncident = B["SimilarIncident"];
export type Cause = B["Cause"];
export type KpiReport = B["KpiReport"];
export type KpiAlarm = B["KpiAlarm"];
export type KpiAlarms = B["KpiAlarms"];
export type LiveKpi = B["LiveKpi"];
export type NotificationEntry = B["NotificationEntry"];
export type OnCallList = B["OnCallList"];
export type Links = B["Links"];
export type LinkedDevices = B["LinkedDevices"];
export type Delivery = B["Delivery"];
export type Readiness = B["Readiness"];
export type AuditEntry = B["AuditEntryOut"];
export type Account = B["AccountOut"];
export type AccountList = B["AccountList"];
export type ServiceAccount = B["ServiceOut"];
export type ServiceList = B["ServiceList"];
export type ServiceToken = B["ServiceToken"];
export type Grant = B["GrantOut"];
export type Trace = B["TraceOut"];
export type SignInWays = B["SignInWays"];

export type Factory = C["Factory"];
export type FactoryList = C["FactoryList"];
export type Proposal = C["Proposal"];
export type ProposalList = C["ProposalList"];
export type Setting = C["Setting"];
export type CandidateScore = C["CandidateScore"];
export type RolloutState = C["RolloutState"];
export type DecisionRequest = C["DecisionRequest"];
