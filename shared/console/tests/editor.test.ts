// The playbook editor: where the cursor is, what may be written there, findings at their places.
import { readFileSync } from "node:fs";
import { Text } from "@codemirror/state";
import { describe, expect, it } from "vitest";
import type { Finding } from "@/api/types";
import { offersAt, type Schema } from "@/editor/complete";
import { offsetOf, placed } from "@/editor/findings";
import { placeOf } from "@/editor/place";

const SCHEMA = JSON.parse(readFileSync("../../playbooks/playbook.schema.json", "utf8")) as Schema;
const BOOK = "schema: playbook/v1\nplaybook: x\nsteps:\n";
const labels = (text: string, schema = SCHEMA) => offersAt(text, schema)?.items.map((one) => one.label) ?? [];
const place = (text: string) => {
  const found = placeOf(text);
  return found && [found.path.join("/"), found.writes, found.word];
};

describe("where the cursor is", () => {
  it.each([
    ["", ["", "key", ""]],
    ["sch", ["", "key", "sch"]],
    ["a: 1\nsteps:\n  - id: x\n    ", ["steps/0", "key", ""]],
    ["steps:\n  - id: x\n  - id: y\n    com", ["steps/1", "key", "com"]],
    ["steps:\n- id: x\n- ", ["steps/1", "key", ""]],
    ["steps:\n- id: x\nfin", ["", "key", "fin"]],
    ["steps:\n  - id: x\n    command:\n      op: st", ["steps/0/command/op", "value", "st"]],
    ["steps:\n  - {id: x, command: {device: d, o", ["steps/0/command", "key", "o"]],
    ["steps:\n  - {id: x, command: {op: st", ["steps/0/command/op", "value", "st"]],
    ["triggers: [{manual: {roles: [a, ", ["triggers/0/manual/roles/1", "value", ""]],
    ["triggers: [\n  {id: a, alarm: B},\n  {id: b, ev", ["triggers/1", "key", "ev"]],
    ["steps:\n  - id: x # why: because\n    no", ["steps/0", "key", "no"]],
    ['a: "x: {"\nb', ["", "key", "b"]],
    ["steps:\n  - id: x\n    log: |\n      hello: [\n    tim", ["steps/0", "key", "tim"]],
    ["devices:\n  burner:\n    type: ", ["devices/burner/type", "value", ""]],
  ])("%j", (text, wanted) => expect(place(text)).toEqual(wanted));
  it.each(["# a comment", "a: 1 # com", 'a: "within a text', "steps:\n  - log: |\n      words"])("offers nothing in %j", (text) =>
    expect(placeOf(text)).toBeNull());
  it("takes a text of the greatest length in its stride", () => {
    const long = BOOK + "  - {id: abcdefgh, log: hello there}\n".repeat(6_900);
    const from = performance.now();
    expect(place(`${long}  - id: last\n    not`)).toEqual(["steps/6900", "key", "not"]);
    expect(performance.now() - from).toBeLessThan(500);
  });
});

describe("what may be written", () => {
  it("knows the keys of the language and leaves out those that are there", () => {
    expect(labels("")).toContain("triggers");
    expect(labels("triggers: []\n")).not.toContain("triggers");
    expect(labels("")[0]).toBe("schema"); // what must be there comes first
  });
  it("offers the verbs of a step until it has one", () => {
    const step = `${BOOK}  - id: a\n    `;
    const verb = offersAt(step, SCHEMA)?.items.find((one) => one.label === "command");
    expect(verb).toMatchObject({ kind: "verb", text: "command:\n" });
    const after = labels(`${step}log: hello\n    `);
    expect(after).not.toContain("command");
    expect(after).toContain("timeout");
    expect(offersAt(`${BOOK}  - {id: a, comm`, SCHEMA)?.items.find((one) => one.label === "command")?.text).toBe("command: ");
  });
  it("offers values: words of the language, yes and no, and a site's own names", () => {
    expect(labels(`${BOOK}  - id: a\n    on_error: `)).toEqual(["fail", "continue"]);
    expect(labels(`${BOOK}  - id: a\n    detach: `)).toEqual(["true", "false"]);
    const site = structuredClone(SCHEMA);
    const role = site.$defs?.DeviceRole?.properties;
    if (role) role.type = { enum: ["burner/v1", "fan/v1"] };
    const roles = site.$defs?.Manual?.properties;
    if (roles) roles.roles = { type: "array", items: { enum: ["shift-lead"] } };
    expect(labels("devices:\n  hot: {type: ", site)).toEqual(["burner/v1", "fan/v1"]);
    expect(labels("triggers:\n  - id: a\n    manual:\n      roles: [", site)).toEqual(["shift-lead"]);
    expect(labels("triggers:\n  - id: a\n    manual:\n      roles:\n        - ", site)).toEqual(["shift-lead"]);
  });
  it("reaches into blocks within blocks", () => {
    const deep = `${BOOK}  - id: p\n    parallel:\n      branches:\n        - id: one\n          steps:\n            - id: q\n              not`;
    expect(labels(deep)).toContain("notify");
  });
});

describe("findings", () => {
  const finding = (line: number, column: number): Finding => ({
    code: "unknown_key", severity: "error", line, column, message: { zh: "未知的键", en: "unknown key" }, mend: { zh: "改名", en: "rename it" },
  });
  const doc = Text.of(["a: 1", "  lgo: x", "name: {zh: 😀记录, ab: 1}", ""]);
  it("stand over the word that they are about", () => {
    const [one] = placed(doc, [finding(2, 3)]);
    expect(doc.sliceString(one?.from ?? 0, one?.to)).toBe("lgo");
  });
  it("count letters as people do, and stay within a text that has become shorter", () => {
    expect(doc.sliceString(offsetOf(doc, 3, 17), offsetOf(doc, 3, 19))).toBe("ab");
    const [late, far] = placed(doc, [finding(99, 7), finding(1, 400)]);
    expect([late?.from, late?.to]).toEqual([doc.length, doc.length]);
    expect(far?.to).toBe(4);
  });
});
