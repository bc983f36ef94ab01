// The bar plots: energy of every model, break-even, and the breakdown of operations and energy.
const bare = (text) => text.replace(/\.00?(?= |$)/, "");

function drawEnergies() {
  const { snn, baselines } = report.per_sample;
  const rows = [
    ...Object.keys(snn).map((name) => ({
      name: `SNN, ${snn[name].label}`,
      path: ["per_sample", "snn", name, "total_nJ"],
      form: "energy",
      range: snn[name].total_range_nJ,
      parts: Object.keys(COMPONENT_NAMES)
        .filter((part) => snn[name].components_nJ[part] > 0)
        .map((part) => ({ label: COMPONENT_NAMES[part], ink: part, path: ["per_sample", "snn", name, "components_nJ", part] })),
      own: true,
    })),
    ...Object.keys(baselines).map((key) => ({
      name: baselines[key].label[0].toUpperCase() + baselines[key].label.slice(1),
      path: ["per_sample", "baselines", key, "total_nJ"],
      form: "energy",
      parts: [{ label: "total", ink: "baseline", path: ["per_sample", "baselines", key, "total_nJ"] }],
      extra: [["multiply-accumulates", ["per_sample", "baselines", key, "macs"], "count"]],
    })),
  ].sort((a, b) => at(...a.path) - at(...b.path));
  for (const row of rows) if (row.own && !row.parts.length) row.parts = [{ label: "total", ink: "synapse", path: row.path }];
  bars(document.querySelector("#energies .plot"), rows, {
    label: "Energy per sentence of every model, from lowest to highest",
    unit: "energy per sentence",
    log: chosen("energy-scale") === "log",
    large: true,
    tick: (value) => bare(energy(value)),
  });
}
onChange("energy-scale", drawEnergies);
drawEnergies();

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

const sets = Object.keys(report.coefficients);
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
  bars(document.querySelector("#breakdown .plot"), rows, { label: `${quantity.label} per sentence`, unit: quantity.label });
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
