// The interactive page: one position, ten tokens, all arithmetic here. The tests compare its numbers with kad's.
"use strict";

const kadExplore = (() => {
  const TOKENS = ["The", "Sure", "It", "I", "First", "Because", "Well", "lol", "http", "</div>"];
  const EXAMPLES = {
    "an unsure base": { p: [2.0, 1.2, 1.9, 1.6, 0.4, 0.9, 1.1, 1.0, 0.3, -0.4], q: [2.2, 3.4, 0.6, 0.2, 2.6, -0.5, -0.8, -4, -4, -5] },
    "a sure base": { p: [5.2, 1.0, 2.1, 1.4, 0.6, 0.2, 0.4, 0.8, 0.1, -0.6], q: [3.8, 2.6, 1.0, 0.1, 1.9, -0.8, -1.0, -4, -4, -5] },
    "nearly uniform": { p: [0.5, 0.45, 0.4, 0.36, 0.3, 0.26, 0.2, 0.15, 0.1, 0.05], q: [1.2, 2.4, 0.6, 0.4, 1.6, 0.1, -0.2, -3, -3, -4] },
  };
  const LOSSES = {
    logistic: (p) => p.map((x) => -Math.log(x)),
    squared: (p) => p.map((x) => (1 - x) ** 2),
    Brier: (p) => { const s = sum(p.map((x) => x * x)); return p.map((x) => Math.max(0, 1 - 2 * x + s)); },
    perceptron: (p) => { const top = Math.log(Math.max(...p)); return p.map((x) => top - Math.log(x)); },
    "confidence bet": (p, q) => { const top = Math.max(...q); return p.map((x) => Math.max(0, top - x)); },
    nudging: (p) => { const top = Math.max(...p); return p.map(() => 1 - top); },
  };
  // The multiplier ℓ(λ) behind the threshold λ, for the losses that fall strictly with p (theory/losses.html); not below 0.
  const BEHIND = {
    logistic: (x) => -Math.log(x),
    squared: (x) => (1 - x) ** 2,
    Brier: (x, p) => Math.max(0, 1 - 2 * x + sum(p.map((y) => y * y))),
    perceptron: (x, p) => Math.max(0, Math.log(Math.max(...p)) - Math.log(x)),
  };
  const strict = (loss) => loss in BEHIND;
  const SOLVERS = ["dual", "primal", "exact", "fractional"];
  const state = { example: "an unsure base", loss: "logistic", solver: "primal", b: 0.4, lambda: 0.1, mu: 0.1, T: 1 };

  const sum = (x) => x.reduce((a, y) => a + y, 0);
  const dot = (x, y) => sum(x.map((a, i) => a * y[i]));
  const softmax = (logits, T) => {
    const top = Math.max(...logits);
    const w = logits.map((l) => Math.exp((l - top) / T));
    return w.map((x) => x / sum(w));
  };
  const risk = (p, l, d) => sum(p.map((x, v) => x * l[v] * (1 - d[v])));
  const theta = (p, l, mu, b) => sum(p.map((x, v) => x * Math.min(l[v], mu))) - mu * b;
  const byLoss = (l) => l.map((_, v) => v).sort((a, c) => l[c] - l[a] || a - c);

  // The greedy's prefix; with `split`, also the share of the critical token that fills the budget (S6).
  function greedy(p, l, b, split) {
    const d = p.map(() => 0);
    let used = 0;
    for (const v of byLoss(l)) {
      if (b >= 1 || used + p[v] <= b) { d[v] = 1; used += p[v]; continue; }
      if (split) d[v] = (b - used) / p[v];
      return { d, price: l[v], unfilled: b - used };
    }
    return { d, price: 0, unfilled: b - used };
  }
  // All decisions of the ten tokens as [mass, risk, code], by rising mass; the best within b is a running minimum.
  function decisions(p, l) {
    const all = [];
    for (let code = 0; code < 1 << p.length; code++) {
      let g = 0, r = 0;
      for (let v = 0; v < p.length; v++) if (code >> v & 1) g += p[v]; else r += p[v] * l[v];
      all.push([g, r, code]);
    }
    all.sort((x, y) => x[0] - y[0]);
    let best = all[0];
    return all.map((x) => (best = x[1] < best[1] ? x : best, [x[0], best[1], best[2]]));
  }
  function optimum(all, b) {
    let low = 0, high = all.length; // the last decision of mass at most b
    while (high - low > 1) { const m = (low + high) >> 1; if (all[m][0] <= (b >= 1 ? 2 : b)) low = m; else high = m; }
    return all[low];
  }

  function compute(s) {
    const { p: lp, q: lq } = EXAMPLES[s.example];
    const p = softmax(lp, s.T), q = softmax(lq, s.T), l = LOSSES[s.loss](p, q);
    const all = decisions(p, l), prefix = greedy(p, l, s.b, false);
    const mu = strict(s.loss) ? BEHIND[s.loss](s.lambda, p) : s.mu; // the bet and nudging take the multiplier itself
    const code = s.b >= 1 ? (1 << p.length) - 1 : optimum(all, s.b)[2]; // b = 1 defers everything, as in kad
    const d = {
      dual: () => (strict(s.loss) ? p.map((x) => (x < s.lambda ? 1 : 0)) : l.map((x) => (x > mu ? 1 : 0))),
      primal: () => prefix.d,
      exact: () => p.map((_, v) => code >> v & 1),
      fractional: () => greedy(p, l, s.b, true).d,
    }[s.solver]();
    const alpha = dot(p, d), proxyMass = dot(q, d), pi = p.map((x, v) => x * (1 - d[v]) + alpha * q[v]);
    return {
      p, q, l, d, pi, all, alpha, proxyMass, mu, price: prefix.price, unfilled: s.b - alpha, risk: risk(p, l, d),
      primal: risk(p, l, prefix.d), best: optimum(all, s.b)[1], lp: theta(p, l, prefix.price, s.b),
      gap: prefix.price * prefix.unfilled, acceptance: sum(pi.map((x, v) => Math.min(x, q[v]))),
      fromBase: sum(pi.map((x, v) => Math.abs(x - p[v]))) / 2,
    };
  }

  // --- drawing -----------------------------------------------------------------------------------------------
  // A figure is drawn in the pixels that it has, so that its words are of one size on a desk and on a phone.
  const H = 230, M = { left: 52, right: 18, top: 8, bottom: 34 };
  const colour = (name) => `var(--kad-${name})`;
  const path = (points, x, y) => points.map(([a, c], i) => `${i ? "L" : "M"}${x(a).toFixed(1)},${y(c).toFixed(1)}`).join("");
  // Multiples of 1, 2 or 5 times a power of ten, some four of them.
  function marks(low, high) {
    const rough = (high - low) / 4, unit = 10 ** Math.floor(Math.log10(rough));
    const step = unit * [1, 2, 5, 10].find((m) => m * unit >= rough * 0.7), first = Math.ceil(low / step - 1e-9);
    return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => +((first + i) * step).toPrecision(6));
  }
  function axes(w, h, maxX, maxY, labelX, labelY, minY = 0, bottom = M.bottom) {
    const x = (v) => M.left + v / maxX * (w - M.left - M.right);
    const y = (v) => h - bottom - (v - minY) / (maxY - minY) * (h - M.top - bottom);
    const below = labelX ? marks(0, maxX).map((t) => `<text data-tick="x" x="${x(t)}" y="${h - bottom + 14}" text-anchor="middle">${t}</text>`) : [];
    const beside = marks(minY, maxY).map((t) => `<text data-tick="y" x="${M.left - 6}" y="${y(t) + 4}" text-anchor="end">${t}</text>`);
    const frame = `<path d="M${M.left},${M.top}V${h - bottom}H${w - M.right}" fill="none" stroke="currentColor" opacity=".5"/>${below.join("")}${beside.join("")}
      <text x="${(w + M.left) / 2}" y="${h - 4}" text-anchor="middle">${labelX}</text>
      <text transform="translate(11,${(h - bottom) / 2}) rotate(-90)" text-anchor="middle">${labelY}</text>`;
    return { x, y, frame };
  }
  const line = (d, stroke, extra = "") => `<path d="${d}" fill="none" stroke="${stroke}" stroke-width="1.6" ${extra}/>`;

  function bars(r, s, w) {
    const step = (w - M.left - M.right) / r.p.length, narrow = step < 56, bottom = narrow ? 60 : M.bottom, h = 216 + bottom;
    const top = Math.max(...r.p, ...r.pi, ...r.q) * 1.08, body = [];
    const { x, y, frame } = axes(w, h, r.p.length, top, "", "probability", 0, bottom); // names in the place of numbers
    const name = (v) => { // aslant where there is no room
      const at = `${x(v) + step / 2 + (narrow ? 4 : 0)},${h - bottom + 15}`;
      return `<text data-name transform="translate(${at})${narrow ? " rotate(-50)" : ""}" text-anchor="${narrow ? "end" : "middle"}">${TOKENS[v].replace("<", "&lt;")}</text>`;
    };
    r.p.forEach((value, v) => {
      const left = x(v) + step * 0.12, kept = value * (1 - r.d[v]);
      body.push(`<rect x="${left}" width="${step * 0.34}" y="${y(kept)}" height="${y(0) - y(kept)}" fill="${colour("kept")}"/>`,
        `<rect x="${left}" width="${step * 0.34}" y="${y(value)}" height="${y(kept) - y(value)}" fill="${colour("deferred")}"/>`,
        `<rect x="${left + step * 0.4}" width="${step * 0.34}" y="${y(r.pi[v])}" height="${y(0) - y(r.pi[v])}" fill="none" stroke="${colour("pi")}" stroke-width="1.4"/>`,
        `<path d="M${left + step * 0.36},${y(r.q[v])}h${step * 0.42}" stroke="${colour("bound")}" stroke-width="2" stroke-dasharray="4 2"/>`,
        name(v));
    });
    return svg(w, h, frame + body.join(""));
  }
  function frontier(r, s, W) {
    const top = r.all[0][1] * 1.05 || 1, { x, y, frame } = axes(W, H, 1, top, "budget b", "risk");
    const grid = Array.from({ length: 201 }, (_, i) => i / 200), prices = grid.map((b) => greedy(r.p, r.l, b, false));
    const shown = s.solver === "dual" ? r.alpha : s.b;
    return svg(W, H, frame + line(path(grid.map((b, i) => [b, risk(r.p, r.l, prices[i].d)]), x, y), colour("kept"))
      + line(path(grid.map((b, i) => [b, theta(r.p, r.l, prices[i].price, b)]), x, y), colour("bound"), 'stroke-dasharray="5 3"')
      + line(path(grid.map((b) => [b, optimum(r.all, b)[1]]), x, y), colour("pi"))
      + line(`M${x(shown)},${M.top}V${H - M.bottom}`, "currentColor", 'opacity=".25"')
      + `<circle cx="${x(shown)}" cy="${y(r.risk)}" r="4.5" fill="${colour("deferred")}" stroke="${colour("pi")}"/>`);
  }
  function dual(r, s, W) {
    const right = Math.max(2 * r.price, r.mu * 1.1, 0.2), grid = Array.from({ length: 201 }, (_, i) => i / 200 * right);
    const values = grid.map((mu) => theta(r.p, r.l, mu, s.b)), most = Math.max(r.best, ...values);
    // θ falls below 0 where μ is too dear: the axis goes as far down as the curve, so that what is drawn is concave.
    const least = Math.min(0, ...values), top = most + 0.25 * (most - least) || 1;
    const { x, y, frame } = axes(W, H, right, top, "multiplier μ", "θ(μ) at this b", least);
    const at = Math.min(r.mu, right);
    const zero = least < 0 ? line(`M${x(0)},${y(0)}H${x(right)}`, "currentColor", 'opacity=".25"') : "";
    return svg(W, H, frame + zero + line(path(grid.map((mu, i) => [mu, values[i]]), x, y), colour("kept"), 'data-curve="theta"')
      + line(`M${x(0)},${y(r.best)}H${x(right)}`, colour("pi"))
      + line(`M${x(at)},${M.top}V${H - M.bottom}`, "currentColor", 'opacity=".25"')
      + `<circle cx="${x(Math.min(r.price, right))}" cy="${y(r.lp)}" r="4.5" fill="${colour("kept")}"/>`);
  }
  const svg = (w, h, body) => `<svg viewBox="0 0 ${w} ${h}" role="img">${body}</svg>`;

  const FACTS = [
    ["deferred mass α", "alpha"], ["unfilled budget b − α", "unfilled"], ["risk", "risk"], ["exact optimum r*(b)", "best"],
    ["LP bound max θ", "lp"], ["greedy's gap ℓ_c u", "gap"], ["price ℓ_c", "price"], ["proxy's mass α*", "proxyMass"],
    ["acceptance 1 − D_TV(π, q*)", "acceptance"], ["distance D_TV(π, p)", "fromBase"],
  ];
  const key = (name, text, dashed) => `<span style="white-space:nowrap"><span style="display:inline-block;width:1.1em;height:.6em;${dashed ? `border-top:2px dashed ${colour(name)}` : `background:${colour(name)}`}"></span> ${text}</span>`;

  function render(root) {
    const r = compute(state);
    for (const [id, draw] of [["bars", bars], ["frontier", frontier], ["dual", dual]]) {
      const place = root.querySelector(`[data-figure=${id}]`);
      place.innerHTML = draw(r, state, Math.max(240, place.clientWidth || 420));
    }
    for (const [, name] of FACTS) root.querySelector(`[data-value=${name}]`).textContent = r[name].toFixed(4);
    const over = r.unfilled < -1e-9, fact = root.querySelector("[data-value=unfilled]").parentElement; // a dual has no budget to keep
    fact.classList.toggle("over", over);
    fact.querySelector("dt").textContent = over ? "over budget: b − α" : "unfilled budget b − α";
    for (const name of ["b", "lambda", "mu", "T"]) root.querySelector(`output[for=kad-${name}]`).textContent = state[name].toFixed(2);
    // A threshold on p is for losses that fall strictly with it; the others take a multiplier.
    root.querySelector("label[for=kad-lambda]").hidden = !strict(state.loss);
    root.querySelector("label[for=kad-mu]").hidden = strict(state.loss);
  }
  function mount(root) {
    const slider = (name, text, min, max) => `<label for="kad-${name}">${text}<output for="kad-${name}"></output>
      <input id="kad-${name}" type="range" min="${min}" max="${max}" step="0.01" value="${state[name]}"></label>`;
    const choice = (name, text, options) => `<label for="kad-${name}">${text}<span></span><select id="kad-${name}">${options.map((o) => `<option${o === state[name] ? " selected" : ""}>${o}</option>`).join("")}</select></label>`;
    root.innerHTML = `<div class="controls">${choice("example", "distribution", Object.keys(EXAMPLES))}${choice("loss", "loss", Object.keys(LOSSES))}
      ${choice("solver", "solver", SOLVERS)}${slider("b", "budget b", 0, 1)}${slider("lambda", "threshold λ (dual)", 0.01, 1)}${slider("mu", "multiplier μ (dual)", 0, 1)}${slider("T", "temperature", 0.2, 2)}</div>
      <div class="figures"><figure class="wide"><figcaption>${key("kept", "p, kept")} &nbsp; ${key("deferred", "p, deferred")} &nbsp; ☐ π, sampled &nbsp; ${key("bound", "q*", true)}</figcaption><div data-figure="bars"></div></figure>
      <figure><figcaption>frontier: ${key("kept", "primal")} &nbsp; ${key("pi", "exact")} &nbsp; ${key("bound", "LP bound", true)}</figcaption><div data-figure="frontier"></div></figure>
      <figure><figcaption>dual function: ${key("kept", "θ(μ)")} &nbsp; ${key("pi", "exact r*(b)")} &nbsp; thin line: the dual's μ</figcaption><div data-figure="dual"></div></figure></div>
      <dl>${FACTS.map(([text, name]) => `<div><dt>${text}</dt><dd data-value="${name}"></dd></div>`).join("")}</dl>`;
    root.addEventListener("input", ({ target }) => {
      const name = target.id.replace("kad-", "");
      state[name] = target.type === "range" ? Number(target.value) : target.value;
      render(root);
    });
    render(root);
    window.addEventListener("resize", () => render(root));
  }
  const root = document.getElementById("explore");
  if (root) mount(root);
  return { state, compute };
})();
window.kadExplore = kadExplore;
