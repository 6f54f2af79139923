// The trade-off plot of each model, by Plotly: any column against any other, a point for each method.
(() => {
  const { columns, entries, utility } = window.standings;
  const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#7F7F7F"];
  const CROWD = 24; // points from which a legend would be longer than the plot
  const escaped = (text) => text.replace(/[&<>"']/g, (each) => `&#${each.charCodeAt(0)};`); // Plotly reads some HTML
  const named = (column) => `${column.group}: ${column.label}`;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function point(entry, across, up, index, crowded) {
    const x = entry.means[across.metric], y = entry.means[up.metric];
    const hue = entry.is_method ? COLOURS[index % COLOURS.length] : "#808080";
    const hollow = entry.is_method ? "" : "-open";
    const symbol = !entry.keeps_utility && entry.is_method ? "x-thin-open" : (entry.is_frozen && entry.is_method ? "diamond" : "circle") + hollow;
    const bars = (value) => ({ type: "data", array: [value.half_width ?? 0], thickness: 1, width: 3, color: hue });
    return {
      type: "scatter", mode: "markers", name: escaped(entry.label), showlegend: !crowded, customdata: [entry.id],
      x: [x.mean], y: [y.mean], error_x: bars(x), error_y: bars(y),
      marker: { color: hue, size: 10, symbol, line: { width: symbol === "x-thin-open" ? 2.5 : 1.5, color: hue } },
      hovertemplate: `%{fullData.name}<br>${escaped(named(across))} %{x:.3f}<br>${escaped(named(up))} %{y:.3f}<extra></extra>`,
    };
  }

  function axis(column) {
    const arrow = column.higher_is_better === null ? "" : column.higher_is_better ? "  (higher is better)" : "  (lower is better)";
    return { title: { text: escaped(named(column) + arrow) }, gridcolor: colour("--line"), zerolinecolor: colour("--line"), automargin: true };
  }

  function draw(canvas, across, up) {
    const shown = entries.filter((each) => each.model === canvas.dataset.model && each.means[across.metric] && each.means[up.metric]);
    const crowded = shown.length > CROWD;
    let methods = 0;
    const traces = shown.map((entry) => point(entry, across, up, entry.is_method ? methods++ : 0, crowded));
    const narrow = canvas.clientWidth < 600;
    const layout = {
      height: narrow ? 460 : 420, margin: { l: 60, r: 20, t: 10, b: 50 }, hovermode: "closest",
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: colour("--ink"), family: "system-ui, sans-serif" },
      xaxis: axis(across), yaxis: axis(up),
      legend: narrow ? { orientation: "h", y: -0.25 } : {},
    };
    window.Plotly.react(canvas, traces, layout, { responsive: true, displaylogo: false, displayModeBar: false });
  }

  for (const canvas of document.querySelectorAll(".canvas")) {
    const figure = canvas.closest("figure");
    const [across, up] = [".across", ".up"].map((name) => figure.querySelector(name));
    for (const select of [across, up]) {
      select.append(...columns.map((column, place) => new Option(named(column), place)));
      select.addEventListener("change", () => show());
    }
    up.value = columns.findIndex((column) => column.metric === (Object.keys(utility).find((name) => name.startsWith("retain")) ?? Object.keys(utility)[0]));
    const show = () => draw(canvas, columns[across.value], columns[up.value]);
    show();
    document.addEventListener("themechange", show);
    canvas.on("plotly_click", (event) => { window.location.href = `entries/${event.points[0].customdata}.html`; });
  }
})();
