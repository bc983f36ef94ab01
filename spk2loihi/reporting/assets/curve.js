// Convergence: error against steps, log-log, and the score below it.

function ticks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const digit of [1, 2, 5]) found.push(digit * 10 ** power);
  }
  const inside = found.filter((value) => value >= low && value <= high);
  return inside.length > 6 ? inside.filter((value) => exponent(value) === Math.log10(value)) : inside;
}

function drawConvergence() {
  const host = document.querySelector("#convergence .plot");
  const { steps, overall, mean_abs_error: stages, score } = report.convergence;
  const width = Math.max(host.clientWidth, 300);
  const [left, right, top, height] = [52, 14, 10, 270];
  const x = (i) => left + ((width - left - right) * i) / Math.max(steps.length - 1, 1);
  const shown = document.getElementById("single-stages").checked ? Object.values(stages) : [];
  const first = overall.findIndex((error) => error > 0);
  const guide = document.getElementById("guide").checked && first >= 0
    ? steps.map((t) => (overall[first] * steps[first]) / t) : [];
  const positive = [...shown.flat(), ...overall, ...guide].filter((value) => value > 0);
  if (!positive.length) {
    host.replaceChildren(el("p", {}, "No error at any number of steps."));
    return;
  }
  const [low, high] = [Math.min(...positive) / 1.2, Math.max(...positive) * 1.2];
  const y = (value) => top + ((height - top) * Math.log(high / value)) / Math.log(high / low);
  const path = (values, attributes) => svg("path", { fill: "none", ...attributes,
    d: values.map((value, i) => (value > 0 ? `${i && values[i - 1] > 0 ? "L" : "M"}${x(i)} ${y(value)}` : "")).join("") });
  const below = score ? 96 : 0;
  const scoreTop = height + 52;
  const scores = score ? [Math.min(...score), Math.max(...score)] : [];
  const level = (value) => scoreTop + below - 24 - ((below - 24) * (value - scores[0])) / (scores[1] - scores[0] || 1);
  const cursor = svg("line", { stroke: "var(--ink)", "stroke-dasharray": "3 3", y1: top, y2: height + (score ? 52 + below - 24 : 0), visibility: "hidden" });
  const drawing = svg("svg", { width, height: height + 40 + (score ? below + 12 : 0), "aria-hidden": "true" },
    ...ticks(low, high).flatMap((value) => [
      svg("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), stroke: "var(--grid)" }),
      svg("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, String(Number(value.toPrecision(3)))),
    ]),
    ...steps.map((t, i) => svg("text", { x: x(i), y: height + 18, "text-anchor": "middle" }, t)),
    svg("text", { x: (left + width - right) / 2, y: height + 36, "text-anchor": "middle" }, "time steps"),
    ...shown.map((values) => path(values, { stroke: "var(--muted)", "stroke-opacity": 0.28 })),
    path(guide, { stroke: "var(--ink)", "stroke-dasharray": "6 4" }),
    path(overall, { stroke: "var(--accent)", "stroke-width": 2.6 }),
    ...overall.flatMap((value, i) => (value > 0 ? [svg("circle", { cx: x(i), cy: y(value), r: 4, fill: "var(--accent)" })] : [])),
    ...(score ? [
      svg("text", { x: left, y: scoreTop - 6 }, "score"),
      ...[...new Set(scores)].map((value) => svg("text", { x: left - 8, y: level(value) + 4, "text-anchor": "end" }, significant(value))),
      svg("path", { fill: "none", stroke: "var(--routing)", "stroke-width": 2.2, d: score.map((value, i) => `${i ? "L" : "M"}${x(i)} ${level(value)}`).join("") }),
      ...score.map((value, i) => svg("circle", { cx: x(i), cy: level(value), r: 3.5, fill: "var(--routing)" })),
    ] : []),
    cursor);
  const details = (i) => {
    const each = Object.values(stages).map((values) => values[i]);
    return [
      ["mean over stages", significant(overall[i])],
      ["single stages", `${significant(Math.min(...each))} to ${significant(Math.max(...each))}`],
      ...(score ? [["score", significant(score[i])]] : []),
    ];
  };
  let active = -1;
  const choose = (i, point) => {
    active = Math.max(0, Math.min(steps.length - 1, i));
    cursor.setAttribute("x1", x(active));
    cursor.setAttribute("x2", x(active));
    cursor.setAttribute("visibility", "visible");
    const box = drawing.getBoundingClientRect();
    showTip(point?.clientX ?? box.left + x(active), point?.clientY ?? box.top + 40, `After ${steps[active]} steps`, details(active));
  };
  const forget = () => { cursor.setAttribute("visibility", "hidden"); hideTip(); };
  const holder = el("div", { tabindex: 0, role: "group",
    "aria-label": `Mean difference between spiking rate and equilibrium: ${significant(overall[0])} after ${steps[0]} steps, ` +
      `${significant(overall.at(-1))} after ${steps.at(-1)}. Arrow keys move along the steps.`,
    onpointermove: (event) => {
      const inside = event.clientX - drawing.getBoundingClientRect().left - left;
      choose(Math.round((inside / (width - left - right)) * (steps.length - 1)), event);
    },
    onpointerleave: forget,
    onblur: forget,
    onkeydown: (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      choose(active + step);
      say(`After ${steps[active]} steps`, details(active));
    },
  }, drawing);
  host.replaceChildren(holder);
}
if (report.convergence) {
  for (const id of ["single-stages", "guide"]) document.getElementById(id).addEventListener("change", drawConvergence);
  onWidth(document.querySelector("#convergence .plot"), drawConvergence);
}
