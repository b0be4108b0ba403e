// The code editor: CodeMirror with YAML, completion from the language's schema, findings in place.
// Loaded when somebody opens a text; it fetches nothing and knows no rule of the language.
import { acceptCompletion, autocompletion, closeCompletion, type Completion, type CompletionContext, completionKeymap, startCompletion } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentLess, indentMore } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { bracketMatching, foldGutter, foldKeymap, HighlightStyle, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { type Diagnostic, lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorSelection, EditorState, Prec } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import type { Finding } from "@/api/types";
import { offersAt, type Offer, type Schema } from "./complete";
import { offsetOf, placed } from "./findings";
import { PHRASES } from "./phrases";

const MOST_BEFORE = 262_144;
const LEAVE_MS = 60_000;

export interface Wanted {
  parent: HTMLElement;
  text: string;
  label: string;
  hint: string;
  /** Asked when something is completed; null: not there yet. */
  schema: () => Schema | null;
  changed: (text: string) => void;
}
export interface Field {
  view: EditorView;
  write: (text: string) => void;
  readOnly: (on: boolean) => void;
  chinese: (on: boolean) => void;
  show: (findings: readonly Finding[], said: (finding: Finding) => { message: string; mend: string }) => void;
  go: (line: number, column: number) => void;
  close: () => void;
}

// Grey and quiet: colour is for alarms, so weight and tone tell the parts of a text apart.
const look = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--focus)", fontWeight: "600" },
  { tag: tags.comment, color: "var(--soft)", fontStyle: "italic" },
  { tag: [tags.string, tags.content], color: "var(--text)" },
  { tag: [tags.punctuation, tags.separator, tags.brace, tags.squareBracket], color: "var(--soft)" },
  { tag: [tags.keyword, tags.bool, tags.number], color: "var(--text)", fontWeight: "600" },
]);
const theme = EditorView.theme({
  "&": { height: "100%", color: "var(--text)", backgroundColor: "var(--raised)" },
  "&.cm-focused": { outline: "2px solid var(--focus)", outlineOffset: "-2px" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "18px" },
  ".cm-gutters": { backgroundColor: "var(--panel)", color: "var(--soft)", borderRight: "1px solid var(--line)" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--hover)" },
  ".cm-cursor": { borderLeftColor: "var(--text)", borderLeftWidth: "2px" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--select)" },
  ".cm-tooltip, .cm-panels": { backgroundColor: "var(--panel)", color: "var(--text)", border: "1px solid var(--line)" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--focus)", color: "var(--raised)" },
  ".cm-diagnostic": { borderLeft: "4px solid var(--text)", whiteSpace: "pre-wrap" },
  ".cm-diagnostic-info": { borderLeftColor: "var(--soft)" },
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--text) 2px", textUnderlineOffset: "3px" },
  ".cm-lintRange-info": { backgroundImage: "none", textDecoration: "underline dotted var(--soft)", textUnderlineOffset: "3px" },
  ".cm-lint-marker-error, .cm-lint-marker-info": { content: "none", width: "0.9em", height: "1em" },
  ".cm-lint-marker-error::before": { content: "'✕'", fontWeight: "700", color: "var(--text)" },
  ".cm-lint-marker-info::before": { content: "'·'", fontWeight: "700", color: "var(--soft)" },
  ".cm-mend": { color: "var(--soft)" },
});

/** Nested keys begin a line of their own, two spaces further in. */
const written = (offer: Offer, view: EditorView, from: number, to: number): void => {
  const line = view.state.doc.lineAt(from);
  const lead = /^[\s-]*/.exec(line.text)?.[0].length ?? 0;
  const rest = view.state.sliceDoc(to, line.to);
  const text = offer.kind !== "value" && /^\s*:/.test(rest) ? offer.label : offer.text.replace("\n", `\n${" ".repeat(lead + 2)}`);
  view.dispatch({
    changes: { from, to, insert: text }, selection: EditorSelection.cursor(from + text.length),
    userEvent: "input.complete", scrollIntoView: true,
  });
  if (offer.kind !== "value") startCompletion(view);
};
const KINDS = { verb: "function", key: "property", value: "enum" } as const;
const completing = (schema: () => Schema | null) => (context: CompletionContext) => {
  const root = schema();
  const start = Math.max(0, context.pos - MOST_BEFORE);
  const found = root && offersAt(context.state.sliceDoc(start, context.pos), root);
  if (!found || (!found.word && !context.explicit)) return null;
  // A value that is written out wants nothing more: Enter begins the next line.
  const whole = new Set(found.items.filter((offer) => offer.kind === "value").map((offer) => offer.label));
  if (whole.has(found.word) && !context.explicit) return null;
  const options = found.items.map((offer, n): Completion => ({
    label: offer.label, type: KINDS[offer.kind], detail: offer.kind === "verb" ? "verb" : undefined,
    info: offer.info || undefined, boost: -Math.min(n, 99),
    apply: (view, _, from, to) => written(offer, view, from, to),
  }));
  return { from: context.pos - found.word.length, options, validFor: (word: string) => /^[\w.:$/-]*$/.test(word) && !whole.has(word) };
};
/** Escape closes what is open; the Tab that follows leaves the field. */
const leaving = (view: EditorView): boolean => {
  closeCompletion(view);
  view.setTabFocusMode(LEAVE_MS);
  return true;
};
function shown(said: { message: string; mend: string }): HTMLElement {
  const box = document.createElement("div");
  const mend = document.createElement("div");
  mend.className = "cm-mend";
  box.textContent = said.message; // texts only: a playbook may say anything
  mend.textContent = said.mend;
  box.append(mend);
  return box;
}

/** A field in a page; whoever opens it closes it. */
export function openField(wanted: Wanted): Field {
  const fixed = new Compartment();
  const words = new Compartment();
  const view = new EditorView({
    parent: wanted.parent,
    state: EditorState.create({
      doc: wanted.text,
      extensions: [
        lineNumbers(), lintGutter(), foldGutter(), history(), drawSelection(), indentOnInput(), bracketMatching(),
        highlightActiveLine(), highlightSelectionMatches(), search({ top: true }), yaml(), indentUnit.of("  "),
        syntaxHighlighting(look), theme, fixed.of([]), words.of([]),
        autocompletion({ override: [completing(wanted.schema)], icons: false }),
        Prec.highest(keymap.of([{ key: "Escape", run: leaving }])),
        keymap.of([
          ...completionKeymap, ...searchKeymap, ...lintKeymap, ...foldKeymap,
          { key: "Tab", run: (at) => acceptCompletion(at) || indentMore(at), shift: indentLess },
          ...historyKeymap, ...defaultKeymap,
        ]),
        EditorView.contentAttributes.of({
          "aria-label": wanted.label, "aria-description": wanted.hint, "data-testid": "yaml", spellcheck: "false",
        }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) wanted.changed(update.state.doc.toString());
        }),
      ],
    }),
  });
  return {
    view,
    write: (text) => {
      if (text !== view.state.doc.toString()) view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
    },
    readOnly: (on) => view.dispatch({ effects: fixed.reconfigure(on ? [EditorState.readOnly.of(true)] : []) }),
    chinese: (on) => view.dispatch({ effects: words.reconfigure(on ? [EditorState.phrases.of(PHRASES)] : []) }),
    show: (findings, said) => {
      const all = placed(view.state.doc, findings).map(({ from, to, finding }): Diagnostic => ({
        from, to, severity: finding.severity === "error" ? "error" : "info", source: finding.code,
        message: said(finding).message, renderMessage: () => shown(said(finding)),
      }));
      view.dispatch(setDiagnostics(view.state, all));
    },
    go: (line, column) => {
      const at = offsetOf(view.state.doc, line, column);
      view.dispatch({ selection: EditorSelection.cursor(at), effects: EditorView.scrollIntoView(at, { y: "center" }) });
      view.focus();
    },
    close: () => view.destroy(),
  };
}
