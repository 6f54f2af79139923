// The trade-off plot of each model, by Plotly: any column against any other, a point for each method.
(() => {
  const { columns, entries, conditions } = window.standings;
  const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#7F7F7F"];
  const CROWD = 24; // points from which a legend would be longer than the plot
  const escaped = (text) => text.replace(/[&<>"']/g, (each) => `&#${each.charCodeAt(0)};`); // Plotly reads some HTML
  const named = (column) => `${column.group}: ${column.label}`;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // What a point looks like: by its kind, and where there are few by its method too.
  function look(entry, index) {
    if (!entry.is_method) return { kind: "reference", hue: "#808080", symbol: "circle-open" };
    const hue = COLOURS[index % COLOURS.length];
    if (entry.why_not) return { kind: "not ranked", hue, symbol: "x-thin-open" };
    return entry.is_frozen ? { kind: "frozen weights", hue, symbol: "diamond" } : { kind: "changed weights", hue, symbol: "circle" };
  }

  function trace(name, { hue, symbol }, points, across, up, crowded) {
    const values = (column, key) => points.map((entry) => entry.means[column.metric][key] ?? 0);
    const bars = (column) => ({ type: "data", array: values(column, "half_width"), thickness: 1, width: 3, color: hue, visible: !crowded });
    return {
      type: "scatter", mode: "markers", name: escaped(name),
      x: values(across, "mean"), y: values(up, "mean"), error_x: bars(across), error_y: bars(up),
      text: points.map((entry) => escaped(entry.label)), customdata: points.map((entry) => entry.id),
      marker: { color: hue, size: crowded ? 7 : 10, symbol, line: { width: symbol === "x-thin-open" ? 2.5 : 1.5, color: hue } },
      hovertemplate: `%{text}<br>${escaped(named(across))} %{x:.3f}<br>${escaped(named(up))} %{y:.3f}<extra></extra>`,
    };
  }

  // One trace a method; of a crowd, one a kind, without intervals, as nothing could be told apart.
  function traces(shown, across, up) {
    const methods = shown.filter((entry) => entry.is_method);
    if (shown.length <= CROWD) {
      return shown.map((entry) => trace(entry.label, look(entry, methods.indexOf(entry)), [entry], across, up, false));
    }
    const kinds = ["changed weights", "frozen weights", "not ranked", "reference"];
    return kinds.flatMap((kind, index) => {
      const points = shown.filter((entry) => look(entry, index).kind === kind);
      return points.length ? [trace(kind, look(points[0], index), points, across, up, true)] : [];
    });
  }

  function axis(column) {
    const arrow = { higher: "  (higher is better)", lower: "  (lower is better)", retrained: "  (best near the retrained model)" }[column.direction] ?? "";
    return { title: { text: escaped(named(column) + arrow) }, gridcolor: colour("--line"), zerolinecolor: colour("--line"), automargin: true };
  }

  function draw(canvas, across, up) {
    const shown = entries.filter((each) => each.model === canvas.dataset.model && each.means[across.metric] && each.means[up.metric]);
    const narrow = canvas.clientWidth < 600;
    const layout = {
      height: narrow ? 460 : 420, margin: { l: 60, r: 20, t: 10, b: 50 }, hovermode: "closest",
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: colour("--ink"), family: "system-ui, sans-serif" },
      xaxis: axis(across), yaxis: axis(up),
      legend: narrow ? { orientation: "h", y: -0.25 } : {},
    };
    window.Plotly.react(canvas, traces(shown, across, up), layout, { responsive: true, displaylogo: false, displayModeBar: false });
  }

  for (const canvas of document.querySelectorAll(".canvas")) {
    const figure = canvas.closest("figure");
    const [across, up] = [".across", ".up"].map((name) => figure.querySelector(name));
    for (const select of [across, up]) {
      select.append(...columns.map((column, place) => new Option(named(column), place)));
      select.addEventListener("change", () => show());
    }
    up.value = columns.findIndex((column) => column.metric === (Object.keys(conditions).find((name) => name.startsWith("retain")) ?? Object.keys(conditions)[0]));
    const show = () => draw(canvas, columns[across.value], columns[up.value]);
    show();
    document.addEventListener("themechange", show);
    canvas.on("plotly_click", (event) => { window.location.href = `entries/${event.points[0].customdata}.html`; });
  }
})();
