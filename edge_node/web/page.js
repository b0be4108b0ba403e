"use strict";
// The page: shows what the engine says, sends what a person does. Decides nothing.
const at = (id) => document.getElementById(id);
const HIDES = ["shelved", "suppressed", "out_of_service", "disabled"];
const SPANS = [1, 5, 15, 60, 240, 1440];
/** key -> [action, its opposite, which of the two is possible now: 0, 1 or -1] */
const ACTIONS = {
  A: ["acknowledge", null, (r) => (r.acked ? -1 : 0)],
  C: ["confirm", null, (r) => (r.confirmed || !r.acked ? -1 : 0)],
  R: ["reset", null, (r) => (r.latched ? 0 : -1)],
  S: ["shelve", null, (r) => (r.enabled && r.shelf === "U" ? 0 : -1)],
  U: ["unshelve", null, (r) => (r.shelf !== "U" ? 0 : -1)],
  O: ["out_of_service", "in_service", (r) => (r.out_of_service ? 1 : r.enabled ? 0 : -1)],
  P: ["suppress", "unsuppress", (r) => (r.by_operator ? 1 : r.enabled ? 0 : -1)],
  X: ["disable", "enable", (r) => (r.enabled ? 0 : 1)],
  M: ["comment", null, (r) => (r.occurrence ? 0 : -1)],
};
const ASKS = ["shelve", "out_of_service", "suppress", "disable", "comment"];
let language = localStorage.getItem("language") || (navigator.language.startsWith("zh") ? "zh" : "en");
let status = null, codes = { zh: {}, en: {} }, audio = null, lastFrame = Date.now();
let view = "alarms", every = [], loadedEvery = 0, typed = 0, chosen = "", asking = null;
let trend = { tag: "", alarm: "", minutes: 5, until: null, shown: null, round: 0 };

const word = (key, values = {}) => WORDS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
const name = (both) => both[language] || both.zh || both.en;
const locale = () => (language === "zh" ? "zh-CN" : "en-GB");
const time = (ms) => (ms ? new Date(ms).toLocaleString(locale()) : "");
const clock = (ms) => new Date(ms).toLocaleTimeString(locale());
const number = (value) => (value === null || value === undefined ? "" : String(Math.round(value * 100) / 100));
const needsAck = (row) => !row.acked && !HIDES.includes(row.state);
const listed = () => (view === "every" ? every : sorted(status ? status.alarms || [] : []));
const current = () => listed().find((row) => row.alarm === chosen) || null;
/** A refusal in words: its code, with parameters where the wording has places for them. */
const refusal = (code, params = {}) =>
  (codes[language][(code || "").replaceAll(".", "_")] || code).replace(/\{(\w+)\}/g, (all, key) => params[key] ?? all);

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== "") made.textContent = text;
  if (className) made.className = className;
  return made;
}
function say(id, text) { at(id).textContent = text; at(id).hidden = !text; }
function sorted(alarms) {
  return [...alarms].sort((a, b) => needsAck(b) - needsAck(a) || HIDES.includes(a.state) - HIDES.includes(b.state)
    || a.priority - b.priority || b.raised_at - a.raised_at);
}
function drawWords() {
  document.documentElement.lang = language;
  for (const place of document.querySelectorAll("[data-text]")) place.textContent = word(place.dataset.text);
  at("title").textContent = word("title");
  at("list-title").textContent = word(view === "every" ? "viewEvery" : "viewAlarms");
  at("language").textContent = language === "zh" ? "English" : "中文";
  at("sound").textContent = word(audio && audio.state === "running" ? "soundOn" : "soundOff");
  at("keys").replaceChildren(...WORDS[language].keys.flatMap(([key, what]) => [element("dt", key), element("dd", what)]));
  at("legend").replaceChildren(...Object.keys(STATES[language]).flatMap((state) => [stateMark(state), document.createTextNode(" ")]));
  keepFocus(at("spans"), drawSpans);
}
function drawSpans() {
  at("spans").replaceChildren(...SPANS.map((minutes) => {
    const button = element("button", minutes < 60 ? word("minutesSpan", { n: minutes }) : word("hours", { n: minutes / 60 }), minutes === trend.minutes ? "on" : "");
    button.type = "button";
    button.addEventListener("click", () => { trend.minutes = minutes; drawWords(); loadTrend(); });
    return button;
  }));
}
function stateMark(state) { return element("span", `${MARKS[state] ?? ""} ${STATES[language][state] || state}`.trim(), `state ${state}`); }

function rowOf(alarm) {
  const row = element("tr", "", [alarm.state, needsAck(alarm) ? "unacked" : "", HIDES.includes(alarm.state) ? "hides" : ""].join(" ").trim());
  row.dataset.alarm = alarm.alarm;
  row.tabIndex = alarm.alarm === chosen ? 0 : -1;
  row.setAttribute("aria-selected", String(alarm.alarm === chosen));
  row.addEventListener("focus", () => choose(alarm.alarm));
  row.addEventListener("click", () => choose(alarm.alarm));
  row.addEventListener("dblclick", () => openTrend(alarm));
  const mark = element("td");
  mark.append(element("span", `${SHAPES[alarm.priority] || "●"} ${alarm.priority}`, `priority p${alarm.priority}`));
  const what = element("td");
  what.append(element("div", name(alarm.name)), element("div", `${alarm.alarm} · ${alarm.tag}${alarm.safety ? ` · ${word("safety")}` : ""}${alarm.first_out ? ` · ${word("firstOut")}` : ""}`, "quiet"));
  const state = element("td");
  state.append(stateMark(alarm.state));
  if (alarm.shelf === "O") state.append(element("div", word("untilNormal"), "quiet"));
  else if (alarm.shelved_until) state.append(element("div", word("until", { time: time(alarm.shelved_until) }), "quiet"));
  for (const note of Object.values(alarm.notes || {}))
    state.append(element("div", word("kept", { who: note.actor, why: [note.reason, note.permit].filter(Boolean).join(" · ") }), "quiet"));
  if (alarm.suppressed && (alarm.suppressed_by || []).some((cause) => cause !== "operator")) state.append(element("div", word("because", { list: alarm.suppressed_by.filter((cause) => cause !== "operator").join(", ") }), "quiet"));
  const end = element("td");
  if (needsAck(alarm)) {
    const button = element("button", word("acknowledge"));
    button.type = "button";
    button.tabIndex = -1;
    button.addEventListener("click", () => act("acknowledge", [alarm]));
    end.append(button);
  }
  row.append(mark, what, state, element("td", `${number(alarm.value)} ${alarm.value === null || alarm.value === undefined ? "" : alarm.unit}`, "number"),
    limitCell(alarm), element("td", time(alarm.raised_at)), element("td", alarm.local_action || ""), end);
  return row;
}
/** The limit, and what it is held against where that is not the sample. */
function limitCell(alarm) {
  const cell = element("td", number(alarm.limit), "number"), held = filterWords(alarm);
  if (held) cell.append(element("div", held, "quiet"));
  return cell;
}
function filterWords(of) {
  return !of.filter || of.filter === "raw" ? "" : word(of.filling ? "filter_filling" : `filter_${of.filter}`);
}
function choose(alarm) {
  chosen = alarm;
  for (const row of at("rows").children) {
    const on = row.dataset.alarm === alarm;
    row.tabIndex = on ? 0 : -1;
    row.setAttribute("aria-selected", String(on));
  }
  drawActions();
}
/** Draw a toolbar anew and leave the focus where it was. */
function keepFocus(box, draws) {
  const place = [...box.children].indexOf(document.activeElement);
  draws();
  if (place >= 0) box.children[place]?.focus();
}
function drawActions() { keepFocus(at("actions"), drawButtons); }
function drawButtons() {
  const row = current();
  at("actions").replaceChildren(...Object.entries(ACTIONS).map(([key, [one, other, possible]]) => {
    const which = row ? possible(row) : -1;
    const button = element("button");
    button.type = "button";
    button.dataset.action = which === 1 ? other : one;
    button.append(element("kbd", key), ` ${word(button.dataset.action)}`);
    button.disabled = which < 0;
    button.addEventListener("click", () => press(key));
    return button;
  }));
  const look = element("button");
  look.type = "button";
  look.append(element("kbd", "T"), ` ${word("viewTrend")}`);
  look.disabled = !row;
  look.addEventListener("click", () => press("T"));
  at("actions").append(look);
}
function drawList() {
  const alarms = listed();
  if (!alarms.some((row) => row.alarm === chosen)) chosen = alarms.length ? alarms[0].alarm : "";
  const focused = at("rows").contains(document.activeElement);
  at("rows").replaceChildren(...alarms.slice(0, 2000).map(rowOf));
  if (focused) [...at("rows").children].find((row) => row.dataset.alarm === chosen)?.focus({ preventScroll: true });
  at("none").hidden = alarms.length > 0;
  at("none").textContent = word(view === "every" ? "noneEvery" : "none");
  at("table").hidden = alarms.length === 0;
  at("all").hidden = view !== "alarms";
  at("all").disabled = !alarms.some(needsAck);
  drawActions();
}
function draw() {
  drawWords();
  if (!status) return;
  at("place").textContent = `${name(status.name)} · ${status.site}/${status.edge}`;
  if (view === "alarms" || view === "every") drawList();
  if (view === "system") drawSystem(status);
  at("horn").textContent = word(status.horn ? "hornOn" : status.annunciating ? "hornHere" : "hornAway");
  at("horn").classList.toggle("on", status.horn);
  say("brain", status.brain_reachable ? "" : word("brain", { since: time(status.brain_lost_since), n: status.backlog || 0 }));
  say("journal", status.journal_degraded ? word("journal") : "");
  const open = (status.alarms || []).filter(needsAck).length;
  at("count").textContent = (status.alarms || []).length ? `${open}/${status.alarms.length}` : "";
  document.title = (open ? `(${open}) ` : "") + word("title");
}
function show(next) {
  view = next;
  for (const button of at("views").children)
    if (button.dataset.view === view) button.setAttribute("aria-current", "page"); else button.removeAttribute("aria-current");
  at("list").hidden = view !== "alarms" && view !== "every";
  at("find-box").hidden = view !== "every";
  at("trend").hidden = view !== "trend";
  at("system").hidden = view !== "system";
  if (view === "every") loadEvery();
  if (view === "trend") { loadTags(); loadTrend(); at("curve").focus(); }
  draw();
  if (view === "alarms") [...at("rows").children].find((row) => row.dataset.alarm === chosen)?.focus();
}

async function post(path, body) {
  const key = [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
  const answer = await fetch(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json", "Idempotency-Key": key } });
  return [answer.ok, await answer.json()];
}
async function look(path) {
  const answer = await fetch(path);
  const body = await answer.json();
  if (!answer.ok) throw new Error(refusal(body.code, body.params || {}));
  return body;
}
async function act(action, rows, args = {}) {
  const actor = at("actor").value.trim();
  if (!actor) { say("message", word("name")); at("actor").focus(); return; }
  localStorage.setItem("actor", actor);
  const items = rows.map(({ alarm, occurrence, version }) => ({ alarm, occurrence, version }));
  let text, good = false;
  try {
    const [answered, body] = await post("/api/alarms/act", { action, items, args, actor });
    const refused = answered ? body.results.filter((r) => !r.accepted) : [body];
    if (refused.length) text = `${word("refused")}: ${[...new Set(refused.map((r) => refusal(r.code, r.params)))].join("; ")}`;
    else { text = word(body.results.some((r) => r.code === "journal_degraded") ? "stored" : "done", { what: word(action) }); good = true; }
  } catch { text = word("network"); }
  say("message", text);
  if (good) setTimeout(() => { if (at("message").textContent === text) say("message", ""); }, 6000);
  if (view === "every") loadEvery();
}
function press(key) {
  const row = current();
  if (!row) { say("message", word("choose")); return; }
  if (key === "T") { openTrend(row); return; }
  const [one, other, possible] = ACTIONS[key];
  const which = possible(row);
  if (which < 0) return;
  const action = which === 1 ? other : one;
  if (ASKS.includes(action)) ask(action, row); else act(action, [row]);
}
function ask(action, row) {
  asking = { action, row };
  at("ask-title").textContent = at("ask-yes").textContent = word(action);
  at("ask-alarm").textContent = `${name(row.name)} · ${row.alarm}${action === "shelve" && row.max_shelve_min ? ` · ${word("most", { n: number(row.max_shelve_min) })}` : ""}`;
  at("ask-word").textContent = word(action === "comment" ? "text" : "reason");
  at("ask-shelve").hidden = at("ask-shelve").disabled = action !== "shelve";
  at("ask-reason").required = true;
  at("ask-reason").value = "";
  at("ask").returnValue = "";
  at("ask").showModal();
  (action === "shelve" ? at("ask-minutes") : at("ask-reason")).focus();
}
at("ask").addEventListener("close", () => {
  const { action, row } = asking;
  if (at("ask").returnValue === "yes") {
    const text = at("ask-reason").value.trim();
    const args = action === "comment" ? { text } : { reason: text };
    if (action === "shelve") {
      const how = new FormData(at("ask-form")).get("how");
      if (how === "one_shot") args.one_shot = true; else args.minutes = Number(at("ask-minutes").value);
    }
    act(action, [row], args);
  }
  [...at("rows").children].find((each) => each.dataset.alarm === chosen)?.focus();
});
async function loadEvery() {
  loadedEvery = Date.now();
  try { every = await look(`/api/alarms?find=${encodeURIComponent(at("find").value.trim())}`); } catch (error) { say("message", error.message); return; }
  if (view === "every") drawList();
}

function openTrend(row) {
  trend = { ...trend, tag: row.tag, alarm: row.alarm, until: null };
  show("trend");
}
async function loadTags() {
  try {
    const tags = (await look("/api/tags")).filter((tag) => tag.type !== "string");
    at("trend-tag").replaceChildren(...tags.map((tag) => {
      const option = element("option", `${tag.tag} · ${name(tag.name)}`);
      option.value = tag.tag;
      return option;
    }));
    if (!trend.tag && tags.length) { trend.tag = tags[0].tag; loadTrend(); }
    if (trend.tag && !tags.some((tag) => tag.tag === trend.tag)) {
      const option = element("option", trend.tag);
      option.value = trend.tag;
      at("trend-tag").append(option);
    }
    at("trend-tag").value = trend.tag;
  } catch (error) { say("message", error.message); }
}
async function loadTrend() {
  if (!trend.tag || view !== "trend") return;
  const round = ++trend.round;
  const span = trend.minutes * 60000;
  const until = trend.until ?? Date.now() + serverAhead();
  try {
    const got = await look(`/api/trend?tag=${encodeURIComponent(trend.tag)}&since=${Math.round(until - span)}&until=${Math.round(until)}&most=1500`);
    if (round !== trend.round) return;
    trend.shown = got;
  } catch (error) { say("message", error.message); return; }
  drawCurve();
}
const serverAhead = () => (status ? status.at - lastStatus : 0);
let lastStatus = Date.now();
function drawCurve() {
  const got = trend.shown;
  if (!got || view !== "trend") return;
  at("trend-title").textContent = `${name(got.name)} · ${got.tag}${got.unit ? ` (${got.unit})` : ""}`;
  drawTrend(at("curve"), got, { time: clock, raised: word("raised"), filter: filterWords });
  const values = got.v.filter((v) => v !== null);
  const last = got.t.length - 1;
  const text = !values.length ? word("trendEmpty") : word("trendText", { n: got.rows, unit: got.unit, last: number(got.v[last]), at: clock(got.t[last]),
    low: number(values.reduce((a, b) => Math.min(a, b))), high: number(values.reduce((a, b) => Math.max(a, b))) });
  at("trend-text").textContent = text;
  at("curve").setAttribute("aria-label", `${got.tag}: ${text}`);
}
function moveTrend(key) {
  const span = trend.minutes * 60000, now = Date.now() + serverAhead();
  if (key === "0") trend.until = null;
  else if (key === "ArrowLeft") trend.until = (trend.until ?? now) - span / 4;
  else if (key === "ArrowRight") trend.until = trend.until === null || trend.until + span / 4 >= now ? null : trend.until + span / 4;
  else {
    const place = SPANS.indexOf(trend.minutes) + (key === "-" ? 1 : -1);
    trend.minutes = SPANS[Math.min(Math.max(place, 0), SPANS.length - 1)];
    drawWords();
  }
  loadTrend();
}

function beep() {
  if (!status || !status.horn || !audio || audio.state !== "running") return;
  const tone = audio.createOscillator(), gain = audio.createGain();
  tone.type = "square"; tone.frequency.value = 660;
  gain.gain.value = 0.15;
  tone.connect(gain).connect(audio.destination);
  tone.start(); tone.stop(audio.currentTime + 0.35);
}
function follow() {
  const stream = new EventSource("/api/stream");
  stream.addEventListener("status", (event) => { lastFrame = lastStatus = Date.now(); status = JSON.parse(event.data); draw(); if (view === "every" && Date.now() - loadedEvery > 3000) loadEvery(); });
  stream.addEventListener("heartbeat", () => { lastFrame = Date.now(); });
  stream.onerror = () => { if (stream.readyState === 2) { stream.close(); setTimeout(begin, 2000); } };
}
async function begin() {
  try {
    const session = await (await fetch("/api/session")).json();
    at("login").hidden = session.logged_in;
    if (session.logged_in) follow();
  } catch { setTimeout(begin, 2000); }
}
function swapLanguage() {
  language = language === "zh" ? "en" : "zh";
  localStorage.setItem("language", language);
  say("message", "");
  draw();
  drawCurve();
  if (view === "trend") loadTags();
}
function moveChoice(key) {
  const alarms = listed();
  if (!alarms.length) return;
  const here = alarms.findIndex((row) => row.alarm === chosen);
  const next = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: alarms.length - 1 }[key];
  choose(alarms[Math.min(Math.max(next, 0), alarms.length - 1)].alarm);
  [...at("rows").children].find((row) => row.dataset.alarm === chosen)?.focus();
}
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || at("ask").open || at("help").open) return;
  if (event.target.closest("input, select, textarea")) { if (event.key === "Escape") event.target.blur(); return; }
  const key = event.key.length === 1 ? event.key.toUpperCase() : event.key;
  const inList = view === "alarms" || view === "every";
  const views = { 1: "alarms", 2: "every", 3: "trend", 4: "system" };
  if (event.key === "?") at("help").showModal();
  else if (key === "L") swapLanguage();
  else if (views[key]) show(views[key]);
  else if (view === "trend" && ["ArrowLeft", "ArrowRight", "+", "=", "-", "0"].includes(event.key)) moveTrend(event.key);
  else if (key === "Escape" && view !== "alarms") show("alarms");
  else if (inList && ["ArrowDown", "ArrowUp", "Home", "End"].includes(key)) moveChoice(key);
  else if (inList && (ACTIONS[key] || key === "T")) press(key);
  else if (inList && key === "Enter" && !event.target.closest("button")) press("T");
  else return;
  event.preventDefault();
});
at("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await fetch("/api/session", { method: "POST", body: JSON.stringify({ password: at("password").value }),
    headers: { "Content-Type": "application/json" } });
  say("message", answer.ok ? "" : word("wrong"));
  at("password").value = "";
  if (answer.ok) begin();
});
for (const button of at("views").children) button.addEventListener("click", () => show(button.dataset.view));
at("language").addEventListener("click", swapLanguage);
at("help-open").addEventListener("click", () => at("help").showModal());
at("sound").addEventListener("click", async () => { audio = audio || new AudioContext(); await audio.resume(); drawWords(); });
at("all").addEventListener("click", () => act("acknowledge", (status && status.alarms || []).filter(needsAck)));
at("find").addEventListener("input", () => { clearTimeout(typed); typed = setTimeout(loadEvery, 250); });
at("trend-tag").addEventListener("change", (event) => { trend.tag = event.target.value; loadTrend(); });
at("actor").value = localStorage.getItem("actor") || "";
window.addEventListener("resize", drawCurve);
setInterval(beep, 1500);
setInterval(() => { if (view === "trend" && trend.until === null) loadTrend(); }, 2000);
setInterval(() => say("link", Date.now() - lastFrame > 12000 && at("login").hidden ? word("link") : ""), 1000);
fetch("/assets/codes.json").then((answer) => answer.json()).then((got) => { codes = got; }, () => say("message", word("network")));
draw();
begin();
