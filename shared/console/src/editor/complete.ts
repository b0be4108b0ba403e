// Completion from the playbook language's own JSON Schema, with this site's names in it. Pure.
import { placeOf } from "./place";

export interface Schema {
  $ref?: string;
  $defs?: Record<string, Schema>;
  properties?: Record<string, Schema>;
  patternProperties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  propertyNames?: Schema;
  items?: Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  required?: string[];
  enum?: unknown[];
  const?: unknown;
  type?: string;
  description?: string;
  examples?: unknown[];
}
export interface Offer {
  label: string;
  /** What is written for it. */
  text: string;
  kind: "verb" | "key" | "value";
  info: string;
}
export interface Offers {
  word: string;
  items: Offer[];
}

/** A schema with all that it may be: references followed, choices laid open. */
function spread(schema: Schema | boolean | undefined, root: Schema, found: Schema[] = []): Schema[] {
  if (!schema || typeof schema === "boolean" || found.includes(schema)) return found;
  found.push(schema);
  if (schema.$ref) spread(root.$defs?.[schema.$ref.replace("#/$defs/", "")], root, found);
  for (const one of [...(schema.anyOf ?? []), ...(schema.allOf ?? []), ...(schema.oneOf ?? [])]) spread(one, root, found);
  return found;
}
function below(kinds: readonly Schema[], segment: string | number): (Schema | boolean | undefined)[] {
  if (typeof segment === "number") return kinds.map((kind) => kind.items);
  return kinds.map((kind) => {
    if (kind.properties?.[segment]) return kind.properties[segment];
    const pattern = Object.entries(kind.patternProperties ?? {}).find(([like]) => new RegExp(like).test(segment));
    return pattern ? pattern[1] : kind.additionalProperties;
  });
}
/** Whether a value of this kind stands on lines of its own. */
const nests = (kinds: readonly Schema[]) =>
  kinds.some((kind) => kind.type === "object" || kind.type === "array") && !kinds.some((kind) => kind.type === "string");

function keys(kinds: readonly Schema[], root: Schema, taken: ReadonlySet<string>, flow: boolean): Offer[] {
  const offers = new Map<string, Offer>();
  const must = new Set(kinds.flatMap((kind) => (kind.properties ? (kind.required ?? []) : [])));
  for (const kind of kinds) {
    // Where exactly one of several keys must stand, these are the verbs of a step.
    const verbs = new Set((kind.oneOf ?? []).flatMap((one) => (one.required?.length === 1 ? one.required : [])));
    const chosen = [...taken].some((key) => verbs.has(key));
    const named = (spread(kind.propertyNames, root).flatMap((one) => one.enum ?? one.const ?? []) as unknown[]).map(String);
    for (const name of [...Object.keys(kind.properties ?? {}), ...named]) {
      if (taken.has(name) || offers.has(name) || (chosen && verbs.has(name))) continue;
      const of = spread(below([kind], name)[0], root);
      const deep = nests(of) && !flow;
      const info = of.find((one) => one.description)?.description ?? "";
      offers.set(name, { label: name, text: `${name}:${deep ? "\n" : " "}`, kind: verbs.has(name) ? "verb" : "key", info });
    }
  }
  return [...offers.values()].sort((a, b) => Number(must.has(b.label)) - Number(must.has(a.label)));
}
function values(kinds: readonly Schema[]): Offer[] {
  const all = kinds.flatMap((kind) => [
    ...(kind.enum ?? []),
    ...(kind.const === undefined ? [] : [kind.const]),
    ...(kind.type === "boolean" ? [true, false] : []),
    ...(kind.examples ?? []),
  ]);
  const info = kinds.find((kind) => kind.description)?.description ?? "";
  return [...new Set(all.filter((one) => typeof one !== "object").map(String))].map((label) => ({
    label, text: label, kind: "value" as const, info,
  }));
}

/** What may be written where this text ends. */
export function offersAt(before: string, root: Schema): Offers | null {
  const place = placeOf(before);
  if (!place) return null;
  let kinds = spread(root, root);
  for (const segment of place.path) {
    const found: Schema[] = [];
    for (const one of below(kinds, segment)) spread(one, root, found);
    kinds = found;
  }
  const keyed = place.writes === "key" ? keys(kinds, root, place.taken, place.flow) : [];
  // An item of a list may be a mapping that begins, or a plain value.
  const plain = place.writes === "value" || typeof place.path.at(-1) === "number" ? values(kinds) : [];
  const items = [...keyed, ...plain];
  return items.length ? { word: place.word, items } : null;
}
