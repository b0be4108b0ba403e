// Where in a YAML text the cursor is: the keys that lead there and what is being written. Pure.
// Read line by line up to the cursor, for a text that is being written is seldom whole.

/** A key of a mapping, or an item of a list. */
export type Segment = string | number;
export interface Place {
  path: Segment[];
  /** Whether a key or a value is being written. */
  writes: "key" | "value";
  word: string;
  /** Keys that stand before it in the same mapping. */
  taken: ReadonlySet<string>;
  /** Within `{}` or `[]`, where no line may be broken. */
  flow: boolean;
}
interface Frame {
  column: number;
  kind: "map" | "list";
  key: string | null;
  index: number;
  taken: Set<string>;
}
const KEY = /^(?:"([^"]*)"|'([^']*)'|([^\s#&*!|>'"%@`,[\]{}][^\s:,[\]{}]*))\s*:(?=\s|$)/;
const PART = /^[\w.:$/-]*$/;
const frame = (column: number, kind: Frame["kind"]): Frame => ({ column, kind, key: null, index: 0, taken: new Set() });
const note = (into: Frame, key: string) => {
  into.key = key;
  into.taken.add(key);
};

/** Reads flow collections and quoted texts of a value; `null`: it ends within a quoted text or a comment. */
function flows(text: string, open: Frame[]): string | null {
  let word = "";
  for (let n = 0; n < text.length; n++) {
    const letter = text[n] ?? "";
    const top = open.at(-1);
    if (letter === '"' || letter === "'") {
      const end = text.indexOf(letter, n + 1);
      if (end < 0) return null;
      word = text.slice(n + 1, end);
      n = end;
    } else if (letter === "#" && (n === 0 || /\s/.test(text[n - 1] ?? ""))) return null;
    else if (letter === "{" || letter === "[") {
      if (word && !top) return ""; // a plain text that has a bracket in it
      open.push(frame(-1, letter === "{" ? "map" : "list"));
      word = "";
    } else if (top && (letter === "}" || letter === "]")) {
      open.pop();
      word = "";
    } else if (top && letter === ",") {
      top.key = null;
      top.index++;
      word = "";
    } else if (top?.kind === "map" && letter === ":" && /^(\s|$)/.test(text.slice(n + 1))) {
      note(top, word.trim());
      word = "";
    } else word += letter;
  }
  return word;
}

/** What the text before the cursor says about the place; `null`: nothing is to be completed there. */
export function placeOf(before: string): Place | null {
  const stack: Frame[] = [];
  let open: Frame[] = [];
  let scalar = -1; // the column of the key whose text block we are in
  const lines = before.split("\n");
  for (const [n, line] of lines.entries()) {
    const last = n === lines.length - 1;
    let column = line.length - line.trimStart().length;
    let rest = line.slice(column);
    if (open.length === 0) {
      if (scalar >= 0 && (column > scalar || !rest)) {
        if (last && column > scalar) return null;
        if (!last) continue;
      }
      scalar = -1;
      if ((!rest && !last) || (rest.startsWith("#") && !last)) continue;
      if (rest.startsWith("#")) return null;
      while ((stack.at(-1)?.column ?? -1) > column) stack.pop();
      // A list may stand at the column of the key that it belongs to.
      if (stack.at(-1)?.kind === "list" && stack.at(-1)?.column === column && !/^-(\s|$)/.test(rest)) stack.pop();
      while (/^-(\s|$)/.test(rest)) {
        const top = stack.at(-1);
        if (top?.kind === "list" && top.column === column) top.index++;
        else stack.push(frame(column, "list"));
        const more = rest.slice(1);
        const space = Math.max(more.length - more.trimStart().length, 1);
        column += 1 + space;
        rest = more.trimStart();
      }
      const found = KEY.exec(rest);
      if (found) {
        if (stack.at(-1)?.kind !== "map" || stack.at(-1)?.column !== column) stack.push(frame(column, "map"));
        note(stack.at(-1) as Frame, found[1] ?? found[2] ?? found[3] ?? "");
        rest = rest.slice(found[0].length).trimStart();
        if (/^[|>][+-]?\d*\s*(#.*)?$/.test(rest)) scalar = column;
      } else if (last && !/^[[{"']/.test(rest)) return PART.test(rest) ? blockKey(stack, column, rest) : null;
    }
    const before = open;
    open = [...before];
    const word = flows(rest, open);
    if (last) return word === null || scalar >= 0 ? null : ending(stack, open, word.trim());
    if (word === null && open.length === 0) continue;
  }
  return null;
}

/** A key is being written in a mapping of its own lines, which may begin with it. */
function blockKey(stack: Frame[], column: number, word: string): Place {
  const top = stack.at(-1);
  const same = top?.kind === "map" && top.column === column;
  const path = pathOf(same ? stack.slice(0, -1) : stack);
  return { path, writes: "key", word, taken: same ? top.taken : new Set(), flow: false };
}
function ending(stack: Frame[], open: Frame[], word: string): Place | null {
  if (!PART.test(word)) return null;
  const all = [...stack, ...open];
  const top = all.at(-1);
  const flow = open.length > 0;
  if (flow && top?.kind === "map" && top.key === null)
    return { path: pathOf(all.slice(0, -1)), writes: "key", word, taken: top.taken, flow };
  return { path: pathOf(all), writes: "value", word, taken: new Set(), flow };
}
const pathOf = (frames: readonly Frame[]): Segment[] =>
  frames.flatMap((one): Segment[] => (one.kind === "list" ? [one.index] : one.key === null ? [] : [one.key]));
