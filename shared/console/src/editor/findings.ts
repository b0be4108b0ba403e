// What the server found, at its place in a text that may have changed since. Pure.
import type { Text } from "@codemirror/state";
import type { Finding } from "@/api/types";

export interface Placed {
  from: number;
  to: number;
  finding: Finding;
}
/** Where a line and column (both from 1, in letters as people count them) are. */
export function offsetOf(doc: Text, line: number, column: number): number {
  const at = doc.line(Math.min(Math.max(line, 1), doc.lines));
  const before = [...at.text].slice(0, Math.max(column, 1) - 1).join("");
  return at.from + before.length;
}
/** Each finding over the word that it is about; over the line's end, where there is none. */
export function placed(doc: Text, findings: readonly Finding[]): Placed[] {
  return findings.map((finding) => {
    const from = offsetOf(doc, finding.line, finding.column);
    const line = doc.lineAt(from);
    const word = /^[^\s:,{}[\]]+/.exec(line.text.slice(from - line.from))?.[0].length ?? 0;
    return { from, to: Math.min(from + Math.max(word, 1), line.to), finding };
  });
}
