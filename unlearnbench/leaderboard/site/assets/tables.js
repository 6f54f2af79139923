// Sorting and searching by DataTables, a filter by kind, and what a column says on hover or focus.
(() => {
  const { default: DataTable } = window.itables;
  const MANY = 60;

  function filterByKind(table, select) {
    table.search.fixed("kind", (text, data, index) => {
      const kinds = table.row(index).node().dataset.kind.split(" ");
      return select.value === "" || kinds.includes(select.value);
    });
    select.addEventListener("change", () => table.draw());
  }

  for (const element of document.querySelectorAll("table.standings")) {
    const rows = element.tBodies[0].rows.length;
    const section = element.closest("section");
    const table = new DataTable(element, {
      order: [],
      autoWidth: false,
      paging: rows > MANY,
      pageLength: 50,
      info: rows > MANY,
      columnDefs: [{ targets: "_all", orderSequence: ["desc", "asc", ""] }, { targets: [0, 1], orderSequence: ["asc", "desc", ""] }],
      layout: { topStart: null, topEnd: null, top2Start: null, bottomStart: rows > MANY ? "info" : null, bottomEnd: rows > MANY ? "paging" : null },
      language: { emptyTable: "No method", zeroRecords: "No method fits the filter" },
    });
    const filters = section.querySelector(".filters");
    const label = document.createElement("label");
    const search = document.createElement("input");
    search.type = "search";
    label.append("Find ", search);
    filters.prepend(label);
    search.addEventListener("input", () => table.search(search.value).draw());
    filterByKind(table, filters.querySelector(".kinds"));
  }

  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true"); // the list of columns below the table says the same
  document.body.append(tip);

  function explain(event) {
    const cell = event.target.closest("th[data-about]");
    tip.hidden = !cell || cell.dataset.about === "";
    if (tip.hidden) return;
    tip.textContent = cell.dataset.about;
    const box = cell.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(box.left, window.innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${box.bottom + 6}px`;
  }
  for (const name of ["mouseover", "focusin"]) document.addEventListener(name, explain);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
  document.addEventListener("scroll", () => { tip.hidden = true; }, true);
})();
