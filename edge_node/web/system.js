"use strict";
// Draws sources, backlog and the state of this edge itself.
function fact(list, term, text) { list.push(element("dt", term), element("dd", text)); }
function drawSystem(s) {
  at("drivers").replaceChildren(...Object.entries(s.drivers || {}).map(([id, driver]) => {
    const row = element("tr");
    row.append(element("td", id), element("td", WORDS[language][driver.state] || driver.state, driver.state === "failed" ? "bad" : ""),
      element("td", driver.detail || "", "detail"), element("td", String(driver.dropped || 0), "number"));
    return row;
  }));
  at("lanes").replaceChildren(...Object.entries(s.lanes || {}).map(([lane, n]) => {
    const row = element("tr"), even = (n.produced || 0) === (n.delivered || 0) + (n.buffered || 0) + (n.dropped || 0) + (n.quarantined || 0);
    row.append(element("td", WORDS[language][lane] || lane),
      ...["produced", "delivered", "buffered", "dropped", "quarantined"].map((key) => element("td", String(n[key] || 0), n[key] && ["dropped", "quarantined"].includes(key) ? "number bad" : "number")),
      element("td", word(even ? "balanced" : "unbalanced"), even ? "" : "bad"));
    return row;
  }));
  const facts = [], journal = s.journal || {}, t = s.telemetry || {}, v = s.versions || {}, c = s.clock || {};
  fact(facts, word("brainState"), s.brain_reachable ? word("reachable") : word("lostSince", { since: time(s.brain_lost_since) }));
  fact(facts, word("clock"), c.offset_ms === null || c.offset_ms === undefined ? word("unknown") : word("clockValue", { offset: number(c.offset_ms), uncertainty: number(c.uncertainty_ms) }));
  fact(facts, word("journalState"), journal.degraded ? word("journalBad", { why: journal.reason, n: journal.waiting || 0, samples: journal.lost_samples || 0, events: journal.lost_events || 0 }) : word("journalOk", { n: journal.waiting || 0 }));
  fact(facts, word("kernel"), WORDS[language][v.kernel] || v.kernel || "");
  fact(facts, word("site"), !v.site ? word("unknown") : !v.site_fault && (!v.site_desired || v.site === v.site_desired) ? word("siteSame", { v: v.site }) : word("siteOther", { v: v.site, d: v.site_desired || "?", why: v.site_fault || "" }));
  fact(facts, word("settings"), String(s.settings_version || 0));
  const asked = Object.entries(t.asked || {}).map(([tag, left]) => `${tag} (${left} s)`).join(", ");
  fact(facts, word("telemetry"), word("telemetryValue", { n: t.reported || 0, d: t.dropped || 0 }) + (asked ? word("asked", { list: asked }) : ""));
  const span = t.history_span_s >= 7200 ? word("hours", { n: number(t.history_span_s / 3600) }) : word("minutesSpan", { n: number((t.history_span_s || 0) / 60) });
  fact(facts, word("ring"), word("ringValue", { mb: t.history_mb || 0, span, disk: WORDS[language][t.history_disk] || t.history_disk || "" }));
  fact(facts, word("snippets"), word("snippetsValue", { p: t.snippets_pending || 0, s: t.snippets_sent || 0, k: t.snippets_skipped || 0 }));
  fact(facts, word("horn"), `${word(s.horn ? "hornOn" : s.annunciating ? "hornHere" : "hornAway")} · ${WORDS[language][s.reason] || s.reason || ""}`);
  at("facts").replaceChildren(...facts);
}
