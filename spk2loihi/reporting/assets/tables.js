// Tables that sort by a column: numbers by their exact value, largest first; text alphabetically.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const value = (row, column) => {
    const cell = row.cells[column];
    const exact = cell.querySelector("data");
    return exact ? Number(exact.value) : cell.classList.contains("text") || column === 0 ? cell.textContent : -Infinity;
  };
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = el("button", { type: "button" }, heading.textContent);
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const text = heading.classList.contains("text") || column === 0;
      const first = text ? "ascending" : "descending";
      const second = text ? "descending" : "ascending";
      const was = heading.getAttribute("aria-sort");
      const now = was === first ? second : was === second ? null : first; // the third time: the original order
      table.tHead.querySelectorAll("[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
      if (now) heading.setAttribute("aria-sort", now);
      const sign = now === "descending" ? -1 : 1;
      const compare = (a, b) => {
        const [x, y] = [value(a, column), value(b, column)];
        return sign * (typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y);
      };
      body.append(...(now ? [...original].sort(compare) : original));
    });
  });
}
