"use strict";
const $ = id => document.getElementById(id);
const make = (name, text, kind) => {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (kind) element.className = kind;
  return element;
};
const fill = (select, values) => select.replaceChildren(...values.map(([value, text]) => {
  const option = make("option", text);
  option.value = value;
  return option;
}));
const figures = (x, n = 3) => x === null || x === undefined ? "–" : x === 0 ? "0" : Math.abs(x) < 1e-3 ? x.toExponential(1) : String(+x.toPrecision(n));
const share = x => x === null || x === undefined ? "–" : (100 * x).toFixed(x > 0 && x < 0.01 ? 2 : 1) + "%";
const STARTS = [{method: "dual"}, {method: "primal"}, {method: "nudging"}, {method: "p"}];
const LARGE = n => n >= 1e9 ? (n / 1e9).toPrecision(3) + " G" : n >= 1e6 ? (n / 1e6).toPrecision(3) + " M" : Math.round(n / 1e3) + " k";
let about, reading = null, pinned = null;
const columns = [];

/* One method: its knobs, its text, its totals. */
class Column {
  constructor(start) {
    this.root = $("column").content.cloneNode(true).querySelector("section");
    const of = name => this.root.querySelector("." + name);
    Object.assign(this, Object.fromEntries(["method", "loss", "solver", "value", "symbol", "window", "temperature", "placement",
      "about", "text", "failed", "totals", "looking"].map(name => [name, of(name)])));
    fill(this.method, [...Object.keys(about.methods).map(name => [name, name]), ["mixture", "a loss and a solver"]]);
    fill(this.solver, Object.keys(about.solvers).map(name => [name, name]));
    fill(this.window, [[0, "0 (no drafts)"], ...[1, 2, 3, 4, 5, 6, 7, 8].map(n => [n, n]), ["auto", "auto"]]);
    fill(this.placement, about.placements.map(name => [name, name]));
    this.method.value = start.method in about.methods ? start.method : Object.keys(about.methods)[0];
    this.solver.value = "primal";
    this.window.value = about.window;
    this.temperature.value = about.temperature;
    this.temperature.max = about.hottest;
    this.method.addEventListener("change", () => this.settle());
    this.solver.addEventListener("change", () => this.settle());
    this.losses();
    this.settle();
    this.clear();
    this.text.addEventListener("pointerover", event => { if (event.pointerType === "mouse" && !pinned) this.show(event.target); });
    this.text.addEventListener("pointerout", event => { if (event.pointerType === "mouse" && !pinned) hide(); });
    this.text.addEventListener("focusin", event => this.show(event.target));
    this.text.addEventListener("focusout", () => { if (!pinned) hide(); });
    this.text.addEventListener("click", event => {
      const again = event.target === pinned;
      unpin();
      if (!again && event.target.classList.contains("token")) { pinned = event.target; pinned.classList.add("on"); this.show(pinned); }
    });
    this.text.addEventListener("keydown", event => this.move(event));
  }
  losses() {
    const chosen = this.loss.value;
    fill(this.loss, about.solvers[this.solver.value].losses.map(name => [name, name]));
    if (about.solvers[this.solver.value].losses.includes(chosen)) this.loss.value = chosen;
  }
  /* The knobs that this method has, and its usual value. */
  settle() {
    const own = this.method.value === "mixture", kind = own ? about.solvers[this.solver.value] : about.methods[this.method.value];
    if (own) this.losses();
    this.root.querySelectorAll(".of-mixture").forEach(label => { label.hidden = !own; });
    this.root.querySelector(".of-value").hidden = kind.parameter === null;
    this.symbol.textContent = kind.parameter;
    this.value.value = kind.default ?? "";
    this.about.textContent = own ? "keep the risk of what is kept low: " + kind.about : kind.about;
  }
  asked() {
    const told = {method: this.method.value, placement: this.placement.value, temperature: Number(this.temperature.value),
      window: this.window.value === "auto" ? "auto" : Number(this.window.value)};
    if (told.method === "mixture") Object.assign(told, {loss: this.loss.value, solver: this.solver.value});
    if (!this.root.querySelector(".of-value").hidden) told.value = this.value.value === "" ? null : Number(this.value.value);
    return told;
  }
  clear() {
    this.tokens = [];
    this.text.replaceChildren();
    for (const part of [this.failed, this.totals, this.looking]) part.hidden = true;
  }
  fail(sentence) {
    this.failed.textContent = sentence;
    this.failed.hidden = false;
  }
  note(sentence) {
    this.looking.textContent = sentence;
    this.looking.hidden = false;
  }
  add(event) {
    for (const told of event.tokens) {
      const space = make("span", undefined, "space"), span = make("span", undefined, "token " + told.origin);
      if (told.accepted === true) span.classList.add("accepted");
      if (told.fell) this.text.append(make("del", told.fell[0]));
      if (told.special) { span.classList.add("special"); span.textContent = told.special; }
      span.tabIndex = this.tokens.length ? -1 : 0;
      span.dataset.at = this.tokens.length;
      this.tokens.push({...told, span, space});
      this.text.append(space, span);
    }
    this.spell(event.texts);
  }
  /* White space stays outside of what is underlined. */
  spell(texts) {
    for (const [at, text] of Object.entries(texts)) {
      const {span, space, special} = this.tokens[at];
      if (special) continue;
      const plain = text.trimStart();
      space.textContent = text.slice(0, text.length - plain.length);
      span.textContent = plain;
    }
  }
  sum(totals) {
    const from = totals.origins, drafted = totals.drafted ? `${totals.accepted} of ${totals.drafted} (${share(totals.acceptance_rate)})` : "none drafted";
    const rows = [["tokens", totals.tokens], ["base passes", `${totals.base_passes}, ${totals.base_fed} tokens fed`],
      ["proxy passes", `${totals.proxy_passes}, ${totals.proxy_fed} tokens fed`], ["drafts that stand", drafted],
      ["mass deferred (mean α)", share(totals.deferral_rate)],
      ["tokens by origin", Object.entries(from).map(([name, n]) => `${n} ${name}`).join(", ") || "none"]];
    if (totals.reference_passes) rows.push(["reference passes", totals.reference_passes]);
    this.totals.replaceChildren(...rows.map(([name, value]) => {
      const row = make("div");
      row.append(make("dt", name), make("dd", value));
      return row;
    }));
    this.totals.hidden = false;
    if (totals.left_out.length) this.note("p, q* and π are shown without " + totals.left_out.join(", ") + ".");
  }
  move(event) {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key], at = Number(event.target.dataset.at);
    if (!step || !this.tokens[at + step]) return;
    event.preventDefault();
    event.target.tabIndex = -1;
    this.tokens[at + step].span.tabIndex = 0;
    this.tokens[at + step].span.focus();
  }
  show(target) {
    if (target.classList.contains("token")) explain(this.tokens[Number(target.dataset.at)]);
  }
}

const WHOSE = {base: "kept from the base", proxy: "from the proxy", target: "from π, which does not tell whose"};
/* α, p, q*, π of a token and its rivals, beside it. */
function explain(token) {
  const detail = $("detail"), first = make("p"), parts = [];
  const how = token.accepted === true ? ", a draft that stands" : token.accepted === false ? ", in the place of a draft that fell"
    : token.origin === "proxy" ? ", for the base's own draw was deferred" : "";
  first.append(make("strong", WHOSE[token.origin] + how), document.createTextNode(". Deferred here: α = " + figures(token.alpha) + "."));
  parts.push(first);
  if (token.fell) {
    const more = token.fell.length - 1;
    parts.push(make("p", `The draft “${token.fell[0]}” had the chance ${figures(token.chance)}` + (more ? `; ${more} drafted behind it fell with it.` : ".")));
  }
  if (token.look) {
    const look = token.look, optimal = look.optimum !== null, deferring = look.token.deferred !== null;
    const table = make("table"), head = table.createTHead().insertRow(), body = table.createTBody();
    const titles = ["token", "p", "q*", "π", ...(deferring ? ["deferred"] : []), ...(optimal ? ["optimum"] : [])];
    head.append(...titles.map(title => make("th", title)));
    const whether = d => d === null ? "–" : d === 1 ? "yes" : d === 0 ? "no" : share(d);
    for (const [i, one] of [look.token, ...look.rivals].entries()) {
      const row = body.insertRow();
      if (i === 0) row.className = "own";
      const cells = [one.text.trim() || JSON.stringify(one.text), figures(one.p), figures(one.q), figures(one.pi),
        ...(deferring ? [whether(one.deferred)] : []), ...(optimal ? [whether(one.optimal)] : [])];
      row.append(...cells.map(cell => make("td", cell)));
    }
    parts.push(table);
    if (optimal) {
      const o = look.optimum, of = x => figures(x), proof = o.status === "OPTIMAL" ? "" : " (not proved in time)";
      parts.push(make("p", of(o.mass) === of(o.rule_mass) && of(o.risk) === of(o.rule_risk)
        ? `The exact 0-1 optimum for this mass does no better: a risk of ${of(o.risk)} is kept.`
        : `Within a mass of ${of(o.budget)} the exact 0-1 optimum defers ${of(o.mass)} and keeps a risk of ${of(o.risk)}${proof}; the rule defers ${of(o.rule_mass)} and keeps ${of(o.rule_risk)}.`));
    }
    if (look.late) parts.push(make("p", "The exact optimum was not asked for: the time for this answer was up."));
  } else parts.push(make("p", reading ? "p, q* and π come when the text is done." : "p, q* and π were not read."));
  detail.replaceChildren(...parts);
  detail.hidden = false;
  const box = token.span.getBoundingClientRect(), own = detail.getBoundingClientRect(), edge = 8;
  detail.style.left = Math.max(edge, Math.min(box.left, document.documentElement.clientWidth - own.width - edge)) + "px";
  const below = box.bottom + edge, above = box.top - own.height - edge;
  detail.style.top = (below + own.height + edge <= innerHeight || above < edge ? Math.min(below, Math.max(edge, innerHeight - own.height - edge)) : above) + "px";
}
function hide() { $("detail").hidden = true; }
function unpin() {
  if (pinned) pinned.classList.remove("on");
  pinned = null;
  hide();
}
function say(text, bad = false) {
  $("state").textContent = text;
  $("state").className = bad ? "bad" : "";
}

/* The events of an answer, one after another, as they come. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const {done, value} = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part.slice("data: ".length));
  }
}
function take(event) {
  const column = columns[event.k];
  if (event.type === "waiting") say(event.before === 1 ? "one visitor is before you" : `${event.before} visitors are before you`);
  else if (event.type === "begun") say("writing …");
  else if (event.type === "tokens") column.add(event);
  else if (event.type === "totals") { column.spell(event.texts); column.sum(event.totals); }
  else if (event.type === "look") column.tokens[event.at].look = event;
  else if (event.type === "failed") column.fail(event.sentence);
  else if (event.type === "unread") column.note("p, q* and π cannot be shown: " + event.sentence);
}
async function write() {
  unpin();
  const asked = {prompt: $("prompt").value, chat: $("chat").checked, system: $("system").value, seed: Number($("seed").value),
    new_tokens: Number($("tokens").value), columns: columns.map(column => column.asked())};
  columns.forEach(column => column.clear());
  reading = new AbortController();
  $("go").hidden = true;
  $("stop").hidden = false;
  say("asking …");
  try {
    const response = await fetch("watch", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(asked), signal: reading.signal});
    if (!response.ok) { say((await response.json()).error, true); return; }
    let ended = false;
    for await (const event of events(response)) { take(event); ended = event.type === "end"; }
    say(ended ? "Point at a token, or tap it, to see why it is there." : "the server stopped.", !ended);
  } catch (error) {
    say(error.name === "AbortError" ? "stopped." : "the server does not answer; is kad play still running?", error.name !== "AbortError");
  } finally {
    reading = null;
    $("go").hidden = false;
    $("stop").hidden = true;
  }
}
function arrange() {
  const count = Number($("count").value);
  $("columns").dataset.count = count;
  while (columns.length > count) columns.pop().root.remove();
  while (columns.length < count) {
    columns.push(new Column(STARTS[columns.length]));
    $("columns").append(columns.at(-1).root);
  }
}
async function another() {
  $("prompt").value = (await (await fetch("example?n=" + Math.floor(Math.random() * 1e6))).json()).prompt;
}
async function start() {
  about = await (await fetch("about")).json();
  const named = about.models.filter(m => m.role === "base" || m.role === "proxy").map(m => `${m.role} ${about.embedded ? "" : m.name + " "}(${LARGE(m.parameters)} parameters)`);
  $("pair").textContent = (about.embedded ? "the embedded pair: " : "") + named.join(", aligned by the ");
  $("tokens").max = about.most;
  $("tokens").value = about.tokens;
  $("chat").checked = about.chat;
  $("chat-label").hidden = $("system-box").hidden = !about.chat;
  $("legend-target").hidden = !("implicit-reward" in about.methods);
  $("another").hidden = !about.embedded;
  if (about.embedded) $("prompt").value = (await (await fetch("example?n=0")).json()).prompt;
  arrange();
}
$("question").addEventListener("submit", event => { event.preventDefault(); if (!reading) write(); });
$("stop").addEventListener("click", () => reading?.abort());
$("another").addEventListener("click", another);
$("count").addEventListener("change", arrange);
addEventListener("keydown", event => { if (event.key === "Escape") unpin(); });
addEventListener("scroll", () => { if (pinned) explainPinned(); else hide(); }, {passive: true});
addEventListener("click", event => { if (!event.target.closest(".text, #detail")) unpin(); });
function explainPinned() {
  const column = columns.find(c => c.root.contains(pinned));
  if (column) column.show(pinned);
}
start().catch(() => say("the server does not answer; is kad play still running?", true));
