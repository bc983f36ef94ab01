// One sentence: spikes over time, attention maps, spike rasters. Everything is unpacked from the recorded run.

function sentenceSection(sentence) {
  const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const tokens = sentence.tokens.slice(0, sentence.shown_tokens);
  const unpacked = sentence.runs.map((run) => ({
    ...run,
    attention: run.attention.map((map) => ({ ...map, counts: new Int8Array(bytes(map.counts).buffer) })),
    stages: run.stages.map((stage) => ({
      ...stage,
      activity: new Uint16Array(bytes(stage.activity).buffer), // little-endian, as every browser's machine is
      positive: bytes(stage.positive),
      negative: bytes(stage.negative),
    })),
  }));
  const state = { run: 0, token: -1, map: 0, head: 0, stage: 1 };
  const current = () => unpacked[state.run];
  const plot = (id) => document.querySelector(`#${id} .plot`);
  const tokenWidth = 12 + 7 * Math.min(14, Math.max(...tokens.map((token) => token.length)));
  const short = (token) => (token.length > 14 ? `${token.slice(0, 13)}…` : token);
  const label = (i, attributes) =>
    svg("text", { class: i === state.token ? "token chosen" : "token", ...attributes }, short(tokens[i]));

  /** A plot in a scrolling frame, with a cursor that pointer and arrow keys move over a grid of cells. */
  function grid(host, drawing, name, cell, cells, describe, open) {
    const readout = el("p", { class: "readout", "aria-live": "polite" }, "Point at the plot, or use the arrow keys.");
    const mark = svg("rect", { fill: "none", stroke: "var(--ink)", "stroke-width": 1.5, visibility: "hidden" });
    drawing.append(mark);
    let [column, row] = [-1, -1];
    const choose = (newColumn, newRow) => {
      column = Math.max(0, Math.min(cells.columns - 1, newColumn));
      row = Math.max(0, Math.min(cells.rows - 1, newRow));
      fill(mark, { ...cell(column, row), visibility: "visible" }, []);
      readout.textContent = describe(column, row);
    };
    const find = (event) => {
      const box = drawing.getBoundingClientRect();
      return cells.find(event.clientX - box.left, event.clientY - box.top);
    };
    const frame = el("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": `${name} Arrow keys move the cell.`,
      onpointermove: (event) => {
        const [x, y] = find(event);
        if (x >= 0 && y >= 0 && x < cells.columns && y < cells.rows) choose(x, y);
      },
      onclick: (event) => open?.(...find(event)),
      onkeydown: (event) => {
        const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
        if (event.key === "Enter" && open && column >= 0) open(column, row);
        if (!x && !y) return;
        event.preventDefault();
        choose(column + x, row + y);
        const box = cell(column, row);
        frame.scrollLeft = Math.min(Math.max(frame.scrollLeft, Number(box.x) + 40 - frame.clientWidth), Math.max(0, Number(box.x) - 40));
      },
    }, drawing);
    host.replaceChildren(frame, readout);
    return host;
  }

  // --- facts and tokens

  function drawFacts() {
    const run = current();
    const path = (key) => ["sentence", "runs", state.run, key];
    const fact = (name, ...value) => el("span", {}, `${name} `, el("b", {}, ...value));
    document.getElementById("sentence-facts").replaceChildren(
      fact("prediction", el("span", { "data-pointer": pointer(...path("prediction")) }, run.prediction)),
      ...Object.keys(run.logits).map((name) => fact(`logit of ${name}`, number([...path("logits"), name], "significant"))),
      fact("spikes", number(path("spikes"), "count")),
      fact("SynOps", number(path("synops"), "count")),
      fact("steps", number(path("latency_steps"), "count")));
    const totals = tokens.map((_, i) => run.stages.reduce((sum, stage) => sum + (stage.spikes_by_token[i] ?? 0), 0));
    const most = Math.max(...totals, 1);
    document.getElementById("tokens").replaceChildren(...tokens.map((token, i) =>
      el("button", { type: "button", "aria-pressed": String(i === state.token), title: `${count(totals[i])} spikes`,
        style: { "--share": `${(100 * totals[i]) / most}%` },
        onclick: () => {
          state.token = state.token === i ? -1 : i;
          draw();
          document.querySelectorAll("#tokens button")[i].focus();
        } }, token, el("i", { "aria-hidden": "true" }))));
  }

  // --- who fires when: tokens x steps

  function drawActivity() {
    const run = current();
    const total = run.latency_steps;
    const sums = new Float64Array(total * tokens.length);
    for (const stage of run.stages) {
      for (let t = 0; t < run.steps; t += 1) {
        for (let i = 0; i < stage.rows; i += 1) {
          sums[(stage.first_step - 1 + t) * tokens.length + i] += stage.activity[t * stage.rows + i];
        }
      }
    }
    const host = plot("activity");
    const row = Math.max(14, Math.min(20, 340 / tokens.length));
    const step = Math.max(0.9, (host.clientWidth - tokenWidth - 6) / total);
    const [width, height] = [tokenWidth + step * total + 6, row * tokens.length + 40];
    const LEVELS = 10;
    const most = Math.max(...sums, 1);
    const paths = Array.from({ length: LEVELS }, () => "");
    for (let t = 0; t < total; t += 1) {
      for (let i = 0; i < tokens.length; i += 1) {
        const value = sums[t * tokens.length + i];
        if (!value) continue;
        const level = Math.min(LEVELS - 1, Math.floor(LEVELS * Math.sqrt(value / most)));
        paths[level] += `M${(tokenWidth + t * step).toFixed(1)} ${(i * row + 1).toFixed(1)}h${(step + 0.15).toFixed(2)}v${row - 2}h-${(step + 0.15).toFixed(2)}z`;
      }
    }
    const layers = [...new Map(run.stages.map((stage) => [stage.stage.startsWith("layer.") ? stage.stage.split(".").slice(0, 2).join(" ") : stage.stage, stage.first_step])
      .reverse()).entries()].reverse();
    const spaced = layers.filter(([, first], i) => i === 0 || first !== layers[i - 1][1]);
    const edge = (first) => tokenWidth + (first - 1) * step;
    const roomy = (first, next) => (next ? edge(next[1]) : width) - edge(first) > 58; // for a label up to the next one
    const drawing = svg("svg", { width, height, "aria-hidden": "true" },
      ...spaced.flatMap(([name, first], i) => [
        svg("line", { x1: edge(first), x2: edge(first), y1: 0, y2: row * tokens.length + 6, stroke: "var(--line)" }),
        ...(roomy(first, spaced[i + 1]) ? [svg("text", { x: edge(first) + 2, y: row * tokens.length + 18 }, name)] : []),
      ]),
      ...(state.token >= 0 ? [svg("rect", { x: 0, y: state.token * row, width, height: row, fill: "var(--accent)", "fill-opacity": 0.13 })] : []),
      ...paths.map((d, level) => svg("path", { d, fill: "var(--accent)", "fill-opacity": (level + 1.5) / (LEVELS + 0.5) })),
      ...tokens.map((_, i) => label(i, { x: tokenWidth - 8, y: (i + 0.5) * row + 4, "text-anchor": "end" })),
      svg("text", { x: tokenWidth, y: row * tokens.length + 34 }, `step 1 to ${total}`));
    const firing = (t) => run.stages.filter((stage) => t + 1 >= stage.first_step && t + 1 < stage.first_step + run.steps);
    const describe = (t, i) => {
      const stages = firing(t);
      const names = stages.length > 3 ? `${stages.length} stages` : stages.map((stage) => stage.stage).join(", ");
      return `${tokens[i]}, step ${t + 1}: ${count(sums[t * tokens.length + i])} spikes${names ? ` (${names})` : ""}`;
    };
    grid(host, drawing, "Spikes of each token in each time step.",
      (t, i) => ({ x: tokenWidth + t * step, y: i * row, width: Math.max(step, 2), height: row }),
      { columns: total, rows: tokens.length, find: (x, y) => [Math.floor((x - tokenWidth) / step), Math.floor(y / row)] },
      describe,
      (t) => {
        const stage = firing(t)[0];
        if (stage) {
          state.stage = run.stages.indexOf(stage);
          document.getElementById("raster-stage").value = state.stage;
          drawRaster();
        }
      });
  }

  // --- attention maps

  const attentionLayer = document.getElementById("attention-layer");
  attentionLayer.append(...sentence.runs[0].attention.map((map, i) => el("option", { value: i }, map.stage.replace(".score", "").replace("layer.", ""))));
  attentionLayer.addEventListener("change", () => {
    state.map = Number(attentionLayer.value);
    drawAttention();
  });

  const weight = (map, head, i, j) => map.counts[(head * map.rows + i) * tokens.length + j];

  function cellPaths(map, head, size, left, top, steps) {
    const paths = new Map();
    for (let i = 0; i < map.rows; i += 1) {
      for (let j = 0; j < tokens.length; j += 1) {
        const n = Math.abs(weight(map, head, i, j));
        if (n) paths.set(n, `${paths.get(n) ?? ""}M${left + j * size} ${top + i * size}h${size}v${size}h-${size}z`);
      }
    }
    return [...paths].map(([n, d]) => svg("path", { d, fill: "var(--accent)", "fill-opacity": 0.06 + 0.94 * Math.sqrt(n / steps) }));
  }

  function drawAttention() {
    const run = current();
    const map = run.attention[state.map];
    const host = plot("attention");
    const wide = host.clientWidth > 820; // heads beside the map, and larger
    const thumb = wide ? 88 : 62;
    const heads = el("div", { class: "heads", role: "group", "aria-label": "Head" }, ...Array.from({ length: map.heads }, (_, head) =>
      el("button", { type: "button", "aria-pressed": String(head === state.head), "aria-label": `Head ${head}`,
        onclick: () => {
          state.head = head;
          drawAttention();
          plot("attention").querySelectorAll(".heads button")[head].focus();
        } },
      svg("svg", { viewBox: `0 0 ${tokens.length} ${map.rows}`, width: thumb, height: map.rows === 1 ? 10 : thumb, preserveAspectRatio: "none", "aria-hidden": "true" },
        ...cellPaths(map, head, 1, 0, 0, run.steps)), String(head))));
    const size = Math.max(11, Math.min(38, ((wide ? 0.56 : 1) * host.clientWidth - tokenWidth - 34) / tokens.length));
    const top = Math.min(tokenWidth, 92);
    const [width, height] = [tokenWidth + size * tokens.length + 30, top + size * map.rows + 6];
    const drawing = svg("svg", { width, height, "aria-hidden": "true" },
      svg("rect", { x: tokenWidth, y: top, width: size * tokens.length, height: size * map.rows, fill: "var(--raised)" }),
      ...cellPaths(map, state.head, size, tokenWidth, top, run.steps),
      ...Array.from({ length: map.rows }, (_, i) => label(i, { x: tokenWidth - 8, y: top + (i + 0.5) * size + 4, "text-anchor": "end" })),
      ...tokens.map((_, j) => label(j, { transform: `translate(${tokenWidth + (j + 0.5) * size + 3} ${top - 6}) rotate(-60)` })),
      ...(state.token >= 0 ? [
        ...(state.token < map.rows ? [svg("rect", { x: tokenWidth, y: top + state.token * size, width: size * tokens.length, height: size, fill: "none", stroke: "var(--accent)" })] : []),
        svg("rect", { x: tokenWidth + state.token * size, y: top, width: size, height: size * map.rows, fill: "none", stroke: "var(--accent)" }),
      ] : []));
    const holder = el("div");
    grid(holder, drawing, `Attention of ${map.stage}, head ${state.head}: rows are queries, columns are keys.`,
      (j, i) => ({ x: tokenWidth + j * size, y: top + i * size, width: size, height: size }),
      { columns: tokens.length, rows: map.rows, find: (x, y) => [Math.floor((x - tokenWidth) / size), Math.floor((y - top) / size)] },
      (j, i) => {
        const n = weight(map, state.head, i, j);
        return `${tokens[i]} attends to ${tokens[j]}: ${significant(n / run.steps)} (${n} spikes in ${run.steps} steps)`;
      });
    host.classList.toggle("beside", wide && map.rows > 1);
    host.replaceChildren(heads, holder);
  }

  // --- spike raster of one stage: tokens side by side, neurons below one another

  const rasterStage = document.getElementById("raster-stage");
  rasterStage.append(...sentence.runs[0].stages.map((stage, i) => el("option", { value: i }, stage.stage)));
  rasterStage.addEventListener("change", () => {
    state.stage = Number(rasterStage.value);
    drawRaster();
  });

  function drawRaster() {
    const run = current();
    const stage = run.stages[state.stage];
    const host = plot("raster");
    const bit = (plane, t, i, neuron) => {
      const index = (t * stage.rows + i) * stage.neurons + neuron;
      return (plane[index >> 3] >> (7 - (index & 7))) & 1;
    };
    const [left, gap, line] = [16, 4, Math.max(3, Math.min(5, 260 / stage.neurons))];
    const step = Math.max(1.6, Math.min(6, ((host.clientWidth - left - 8) / stage.rows - gap) / run.steps));
    const block = step * run.steps + gap;
    const turned = block < 64;
    const bottom = line * stage.neurons;
    const [width, height] = [left + block * stage.rows + (turned ? 30 : 8), bottom + (turned ? Math.min(tokenWidth, 100) : 34)];
    const planes = { positive: "", negative: "" };
    for (let i = 0; i < stage.rows; i += 1) {
      for (let neuron = 0; neuron < stage.neurons; neuron += 1) {
        for (let t = 0; t < run.steps; t += 1) {
          for (const plane of ["positive", "negative"]) {
            if (bit(stage[plane], t, i, neuron)) planes[plane] += `M${(left + i * block + t * step).toFixed(1)} ${(neuron + 0.5) * line}h${(step * 0.82).toFixed(1)}`;
          }
        }
      }
    }
    const drawing = svg("svg", { width, height, "aria-hidden": "true" },
      ...Array.from({ length: stage.rows }, (_, i) => svg("rect", { x: left + i * block - 1, y: 0, width: block - gap + 2, height: bottom,
        fill: i === state.token ? "var(--accent)" : "var(--raised)", "fill-opacity": i === state.token ? 0.22 : 0.55 })),
      ...Object.entries(planes).map(([plane, d]) => svg("path", { d, stroke: `var(--${plane})`, "stroke-width": line * 0.78, fill: "none" })),
      svg("text", { transform: `translate(10 ${bottom / 2}) rotate(-90)`, "text-anchor": "middle" }, `neurons 1 to ${stage.neurons} of ${stage.channels}`),
      ...Array.from({ length: stage.rows }, (_, i) => label(i, turned
        ? { transform: `translate(${left + i * block + 2} ${bottom + 14}) rotate(55)` }
        : { x: left + i * block, y: bottom + 16 })),
      ...(turned ? [] : [svg("text", { x: left, y: bottom + 32 }, `${run.steps} steps each`)]));
    const value = (t, i, neuron) => bit(stage.positive, t, i, neuron) - bit(stage.negative, t, i, neuron);
    grid(host, drawing, `Spikes of ${stage.stage}: ${count(stage.spikes)} in all.`,
      (column, neuron) => ({ x: left + Math.floor(column / run.steps) * block + (column % run.steps) * step, y: neuron * line, width: step, height: line }),
      { columns: stage.rows * run.steps, rows: stage.neurons, find: (x, y) => {
        const i = Math.floor((x - left) / block);
        const t = Math.floor((x - left - i * block) / step);
        return [t < run.steps ? i * run.steps + t : -1, Math.floor(y / line)];
      } },
      (column, neuron) => {
        const [i, at] = [Math.floor(column / run.steps), column % run.steps];
        let spikes = 0;
        for (let t = 0; t < run.steps; t += 1) spikes += value(t, i, neuron);
        const now = { 1: "a spike of +1", 0: "silent", "-1": "a spike of −1" }[value(at, i, neuron)];
        return `${tokens[i]}, neuron ${neuron + 1}, step ${stage.first_step + at}: ${now}; n = ${spikes} of ${run.steps}`;
      });
  }

  function draw() {
    drawFacts();
    drawActivity();
    if (sentence.runs[0].attention.length) drawAttention();
    drawRaster();
  }
  rasterStage.value = state.stage = Math.min(state.stage, sentence.runs[0].stages.length - 1);
  onChange("schedule", () => {
    state.run = Number(chosen("schedule"));
    draw();
  });
  onWidth(document.getElementById("sentence"), draw);
}
if (report.sentence) sentenceSection(report.sentence);
