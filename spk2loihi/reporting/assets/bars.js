// Horizontal bars as a list: every row shows its name and value; pointer or arrow keys show its parts.

/**
 * rows: [{name, path, form, parts: [{label, ink, path}], range: [low, high] or null}]; a row's value is that at `path`.
 * options: {label, log, line: {path, label, form}, large, axis}. Parts are stacked, on linear scales only.
 */
function bars(host, rows, options) {
  const worth = (row) => at(...row.path) ?? 0;
  const values = [...rows.map(worth), ...(options.line ? [at(...options.line.path)] : [])];
  const positive = values.filter((value) => value > 0);
  const top = Math.max(...positive, 0) || 1;
  const low = options.log ? 10 ** Math.floor(Math.log10(Math.min(...positive, top)) - 0.3) : 0;
  const high = options.log ? top * 1.25 : top;
  const place = options.log
    ? (value) => (value <= low ? 0 : (100 * Math.log(value / low)) / Math.log(high / low))
    : (value) => (100 * value) / high;
  const percent = (value) => `${Math.max(0, Math.min(100, value))}%`;

  const details = (row) => [
    [options.unit ?? "value", FORMS[row.form](worth(row))],
    ...(row.parts.length > 1 ? row.parts.map((part) => [part.label, FORMS[row.form](at(...part.path))]) : []),
    ...(row.extra ?? []).map(([label, path, form]) => [label, at(...path) === null ? "–" : FORMS[form](at(...path))]),
  ];
  const items = rows.map((row) => {
    const stacked = !options.log && row.parts.length > 1;
    const segments = stacked
      ? row.parts.map((part) => el("i", { style: { width: percent(place(at(...part.path))), background: `var(--${part.ink})` } }))
      : [el("i", { style: { width: percent(place(worth(row))), background: `var(--${row.parts[0].ink})` } })];
    if (options.line) segments.push(el("span", { class: "line", style: { left: percent(place(at(...options.line.path))) } }));
    if (row.range) {
      const [from, to] = row.range.map(place);
      segments.push(el("span", { class: "range", style: { left: percent(from), width: percent(to - from) } }));
    }
    const item = el("li", {}, el("span", { class: "name", title: row.name },
      ...(row.name.startsWith("layer.") ? [el("span", { class: "prefix" }, "layer."), row.name.slice(6)] : [row.name])),
      el("span", { class: "track", "aria-hidden": "true" }, ...segments), number(row.path, row.form));
    item.addEventListener("pointermove", (event) => showTip(event.clientX, event.clientY, row.name, details(row)));
    item.addEventListener("pointerleave", hideTip);
    return item;
  });
  let active = -1;
  const list = el("ul", { class: options.large ? "bars large" : "bars", tabindex: 0, "aria-label": options.label }, ...items);
  const choose = (index) => {
    items[active]?.classList.remove("active");
    active = Math.max(0, Math.min(items.length - 1, index));
    items[active].classList.add("active");
    items[active].scrollIntoView({ block: "nearest" });
    const box = items[active].getBoundingClientRect();
    showTip(box.left + box.width / 3, box.bottom, rows[active].name, details(rows[active]));
    say(rows[active].name, details(rows[active]));
  };
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    choose(Math.max(0, Math.min(items.length - 1, active + step)));
  });
  list.addEventListener("blur", () => {
    items[active]?.classList.remove("active");
    active = -1;
    hideTip();
  });
  const parts = [list];
  if (options.log) parts.push(axis(low, high, place, options.tick));
  if (options.line) {
    parts.push(el("p", { class: "readout" }, options.line.label + ": ", number(options.line.path, options.line.form)));
  }
  host.replaceChildren(...parts);
}

function axis(low, high, place, tick) {
  const decades = [];
  for (let power = Math.ceil(Math.log10(low)); 10 ** power <= high; power += 1) decades.push(10 ** power);
  const every = Math.ceil(decades.length / 5);
  return el("div", { class: "axis", "aria-hidden": "true" }, el("div", {},
    ...decades.filter((_, i) => i % every === 0).map((value) => el("span", { style: { left: `${place(value)}%` } }, tick(value)))));
}
