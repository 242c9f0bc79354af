"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("th").forEach((head, column) => {
    const button = document.createElement("button");
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") === "descending" || (head.classList.contains("text") && !head.hasAttribute("aria-sort"));
      table.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = row => row.cells[column].textContent.trim();
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const x = value(a), y = value(b);
        if (x === "" || y === "") return (x === "") - (y === "");
        const order = head.classList.contains("text") ? x.localeCompare(y, "en", {numeric: true}) : parseFloat(x) - parseFloat(y);
        return up ? order : -order;
      });
      table.tBodies[0].append(...rows);
    });
  });
}
const data = document.getElementById("data");
if (data) {
  const traces = JSON.parse(data.textContent);
  const prompt = document.getElementById("prompt"), method = document.getElementById("method");
  const text = document.getElementById("text"), detail = document.getElementById("detail");
  const name = t => t.task + " / " + t.item;
  const fill = (select, values) => select.replaceChildren(...values.map(v => new Option(v, v)));
  const number = x => x === null ? "–" : x.toFixed(4);
  const cells = (kind, values) => values.map(v => { const c = document.createElement(kind); c.textContent = v; return c; });
  const row = (kind, values, style) => { const r = document.createElement("tr"); r.className = style; r.append(...cells(kind, values)); return r; };
  function explain(token) {
    const table = document.createElement("table");
    const origin = {b: "kept from the base", q: "from the proxy", t: "from the target"}[token.origin];
    const caption = document.createElement("p");
    caption.textContent = "α = " + number(token.alpha) + ", " + origin;
    table.append(row("th", ["token", "p", "q*", "π"], ""), row("td", [JSON.stringify(token.text), ...token.own.map(number)], "own"));
    for (const [other, ...numbers] of token.rivals) table.append(row("td", [JSON.stringify(other), ...numbers.map(number)], ""));
    detail.replaceChildren(caption, table);
  }
  function show() {
    const trace = traces.find(t => name(t) === prompt.value && t.method === method.value);
    document.getElementById("question").textContent = trace.question;
    text.replaceChildren(...trace.tokens.map(token => {
      const span = document.createElement("span");
      span.textContent = token.text;
      span.className = token.origin;
      span.tabIndex = 0;
      for (const event of ["mouseenter", "focus"]) span.addEventListener(event, () => explain(token));
      return span;
    }));
    const verdict = document.getElementById("verdict");
    verdict.textContent = (trace.correct ? "right: " : "wrong: ") + (trace.answer ?? "no answer") + (trace.correct ? "" : ", gold " + trace.gold);
    verdict.className = trace.correct ? "right" : "wrong";
    detail.replaceChildren();
  }
  function methods() {
    const kept = method.value;
    fill(method, traces.filter(t => name(t) === prompt.value).map(t => t.method));
    if ([...method.options].some(o => o.value === kept)) method.value = kept;
    show();
  }
  fill(prompt, [...new Set(traces.map(name))]);
  prompt.addEventListener("change", methods);
  method.addEventListener("change", show);
  methods();
}
