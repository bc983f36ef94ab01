// The bar plots: energy of every model, rate beside graded, break-even, and the breakdown of operations and energy.
const bare = (text) => text.replace(/\.00?(?= |$)/, "");
const capital = (text) => text[0].toUpperCase() + text.slice(1);
const UNIT = report.network.unit;

/** Energies of the spiking network and of ANNs whose prices are alike: all with memory traffic, or all without. */
function drawEnergies(id, memory) {
  const { snn, baselines } = report.per_sample;
  const rows = [
    ...Object.keys(snn).filter((name) => snn[name].memory === memory).map((name) => ({
      name: `Spiking network, ${snn[name].label}${report.coefficients[name].bound === "upper" ? " (a SynOp at most)" : ""}`,
      path: ["per_sample", "snn", name, "total_nJ"],
      form: "energy",
      range: snn[name].total_range_nJ,
      parts: Object.keys(COMPONENT_NAMES)
        .filter((part) => snn[name].components_nJ[part] > 0)
        .map((part) => ({ label: COMPONENT_NAMES[part], ink: part, path: ["per_sample", "snn", name, "components_nJ", part] })),
      own: true,
    })),
    ...Object.keys(baselines).filter((key) => baselines[key].memory === memory).map((key) => ({
      name: capital(baselines[key].label),
      path: ["per_sample", "baselines", key, "total_nJ"],
      form: "energy",
      range: baselines[key].total_range_nJ,
      parts: [{ label: "total", ink: "baseline", path: ["per_sample", "baselines", key, "total_nJ"] }],
      extra: [
        ["multiply-accumulates", ["per_sample", "baselines", key, "macs"], "count"],
        ...Object.keys(baselines[key].parts_nJ ?? {}).map((part) => [part, ["per_sample", "baselines", key, "parts_nJ", part], "energy"]),
      ],
    })),
  ].sort((a, b) => at(...a.path) - at(...b.path));
  for (const row of rows) if (row.own && !row.parts.length) row.parts = [{ label: "total", ink: "synapse", path: row.path }];
  bars(document.querySelector(`#${id} .plot`), rows, {
    label: `Energy per ${UNIT} of every model, memory traffic ${memory}, from lowest to highest`,
    unit: `energy per ${UNIT}`,
    log: chosen("energy-scale") === "log",
    large: true,
    tick: (value) => bare(energy(value)),
  });
}
const drawBoth = () => {
  drawEnergies("with-memory", "included");
  drawEnergies("bare", "excluded");
};
onChange("energy-scale", drawBoth);
drawBoth();

// --- rate beside graded

if (report.encodings) {
  const { runs, coefficients } = report.encodings;
  const plots = [
    ["SynOps", "count", ["synops"]],
    ["time steps", "count", ["latency_steps"]],
    [`energy, ${coefficients}`, "energy", ["energy_nJ", coefficients]],
    ["time to an answer", "duration", ["seconds"]],
  ].filter(([, , path]) => runs.every((_, i) => at("encodings", "runs", i, ...path) !== null));
  document.querySelector("#encodings .plot").replaceChildren(...plots.map(([label, form, path]) => {
    const plot = el("div", {});
    bars(plot, runs.map((run, i) => ({
      name: run.encoding,
      path: ["encodings", "runs", i, ...path],
      form,
      parts: [{ label, ink: run.encoding === report.encodings.choice ? "synapse" : "baseline", path: ["encodings", "runs", i, ...path] }],
    })), { label: `${label} per ${UNIT}, rate and graded`, unit: label });
    return el("div", {}, el("p", { class: "caption" }, capital(label)), plot);
  }));
}

bars(
  document.querySelector("#breakeven .plot"),
  report.comparisons
    .map((row, i) => ({
      name: `${row.coefficients} against ${row.baseline_label}`,
      path: ["comparisons", i, "break_even_t_times_density"],
      form: "significant",
      parts: [{
        ink: row.break_even_t_times_density >= report.t_times_density ? "routing" : "negative",
        path: ["comparisons", i, "break_even_t_times_density"],
      }],
      extra: [["energy ratio, everything included", ["comparisons", i, "ratio"], "significant"]],
    }))
    .sort((a, b) => at(...a.path) - at(...b.path)),
  {
    label: "Break-even T × density of every comparison, from lowest to highest",
    unit: "break-even T × density",
    log: true,
    large: true,
    line: { path: ["t_times_density"], label: "This network's T × density", form: "significant" },
    tick: (value) => String(Number(value.toPrecision(1))),
  },
);

// --- breakdown

const sets = Object.keys(report.per_sample.snn);
const QUANTITIES = [
  { label: "SynOps", form: "count", parts: [
    ["linear synapses", "synapse", ["per_sample", "synops"]],
    ["attention (fast weights)", "attention", ["per_sample", "attention_synops"]],
  ], total: ["per_sample", "all_synops"] },
  ...sets.map((name) => ({
    label: `Energy, ${name}`, form: "energy", parts: Object.keys(COMPONENT_NAMES)
      .filter((part) => report.per_sample.snn[name].components_nJ[part] > 0)
      .map((part) => [COMPONENT_NAMES[part], part, ["energy_per_sample_nJ", name, part]]),
    total: ["energy_total_nJ", name],
  })).filter((quantity) => quantity.parts.length),
  { label: "Average spiking rate", form: "significant", parts: [["rate", "synapse", ["asr"]]] },
  { label: "Messages", form: "count", parts: [["messages", "routing", ["per_sample", "messages"]]] },
  { label: "T × density", form: "significant", parts: [["T × density", "synapse", ["t_times_density"]]] },
  { label: "Neuron updates", form: "count", parts: [
    ["active", "neuron", ["per_sample", "active_updates"]],
    ["inactive", "baseline", ["per_sample", "inactive_updates"]],
  ], total: ["per_sample", "updates"] },
].filter((quantity) => report.layers.some((_, i) => at("layers", i, ...quantity.parts[0][2]) !== null));

const quantitySelect = document.getElementById("quantity");
const componentSelect = document.getElementById("component");
quantitySelect.append(...QUANTITIES.map((quantity, i) => el("option", { value: i }, quantity.label)));

function offerComponents() {
  const { parts } = QUANTITIES[quantitySelect.value];
  componentSelect.replaceChildren(...(parts.length > 1 ? [el("option", { value: "" }, "all, stacked")] : []),
    ...parts.map(([label], i) => el("option", { value: i }, label)));
  componentSelect.disabled = parts.length < 2;
}

function drawBreakdown() {
  const quantity = QUANTITIES[quantitySelect.value];
  const base = chosen("grouping") === "layers" ? ["layers"] : ["groups", chosen("grouping")];
  const parts = componentSelect.value === "" ? quantity.parts : [quantity.parts[componentSelect.value]];
  const rows = at(...base)
    .map((layer, i) => ({
      name: layer.name,
      form: quantity.form,
      path: [...base, i, ...(parts.length > 1 ? quantity.total : parts[0][2])],
      parts: parts.map(([label, ink, path]) => ({ label, ink, path: [...base, i, ...path] })),
      extra: EXTRA.map(([label, path, form]) => [label, [...base, i, ...path], form]),
    }))
    .filter((row) => at(...row.path) !== null);
  if (chosen("order") === "size") rows.sort((a, b) => at(...b.path) - at(...a.path));
  document.getElementById("parts").replaceChildren(...(parts.length > 1 ? parts : []).map(([label, ink]) =>
    el("span", {}, el("i", { class: "swatch", style: { background: `var(--${ink})` } }), ` ${label}`)));
  bars(document.querySelector("#breakdown .plot"), rows, { label: `${quantity.label} per ${UNIT}`, unit: quantity.label });
}
const EXTRA = [
  ["average spiking rate", ["asr"], "significant"],
  ["T × density", ["t_times_density"], "significant"],
];

quantitySelect.addEventListener("change", () => { offerComponents(); drawBreakdown(); });
componentSelect.addEventListener("change", drawBreakdown);
onChange("grouping", drawBreakdown);
onChange("order", drawBreakdown);
offerComponents();
drawBreakdown();
