// Two methods side by side: every column with the difference paired by seed, the verdict of the ranking, their answers.
(() => {
  const { columns, entries, t } = window.standings;
  const byId = new Map(entries.map((entry) => [entry.id, entry]));
  const [a, b] = ["a", "b"].map((name) => document.getElementById(name));
  const number = (value) => (Math.abs(value) < 10 ? value.toFixed(3) : value.toPrecision(4));
  const shown = (value) => (value ? number(value.mean) + (value.half_width === null ? "" : ` ± ${number(value.half_width)}`) : "–");

  function made(name, text, className) {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  }

  // The mean of the differences of common seeds with half of its 95% interval by Student's t.
  function difference(one, other) {
    const values = Object.keys(one).filter((seed) => seed in other && one[seed] !== null && other[seed] !== null).map((seed) => one[seed] - other[seed]);
    const n = values.length;
    if (n < 2) return null;
    const mean = values.reduce((sum, each) => sum + each, 0) / n;
    const variance = values.reduce((sum, each) => sum + (each - mean) ** 2, 0) / (n - 1);
    return { mean, half_width: t[Math.min(n - 1, t.length) - 1] * Math.sqrt(variance / n), n };
  }

  // On the forget set, and where neither side is better, what is nearer to the retrained model.
  function better(column, one, other) {
    const values = column.near_retrained ? "off_retrained" : "by_seed";
    const gap = difference(one[values][column.metric], other[values][column.metric]);
    if (!gap || column.direction === null || Math.abs(gap.mean) <= gap.half_width || gap.mean === 0) return "–";
    return gap.mean > 0 === (!column.near_retrained && column.higher_is_better) ? "A" : "B";
  }

  function verdict(one, other) {
    if (one.model !== other.model) return "These are on two models, and scores are measured against each model's own references.";
    if (one === other) return "Choose two different methods.";
    for (const [first, second] of [[one, other], [other, one]]) {
      if (first.beats.includes(second.at)) return `${first.label} surely beats ${second.label}: over seeds, and over people and seeds, all pairs counted.`;
    }
    const unranked = [one, other].filter((each) => each.rank === null);
    if (unranked.length) return unranked.map((each) => `${each.label} is not ranked: ${each.why_not ?? "it is a reference"}.`).join(" ");
    return `${one.label} and ${other.label} are tied: neither surely leads over seeds, and over people and seeds, all pairs counted.`;
  }

  function answer(one, other) {
    const item = made("li");
    if (one.picture) {
      const picture = made("img");
      Object.assign(picture, { src: `../pictures/${one.picture}`, alt: "The picture asked about", width: 96, height: 96 });
      item.append(picture);
    } else item.append(made("span", "picture not published here", "no-picture"));
    const text = made("div"), list = made("dl");
    for (const [name, said] of [["Truth", one.truth], ["A", one.after], ["B", other ? other.after : "–"]]) {
      const pair = made("div");
      pair.append(made("dt", name), made("dd", said));
      list.append(pair);
    }
    text.append(made("p", one.set_name, "set"), made("p", one.question, "question"), list);
    item.append(text);
    return item;
  }

  function compare() {
    const one = byId.get(a.value), other = byId.get(b.value);
    document.getElementById("name-a").textContent = `A: ${one.label}`;
    document.getElementById("name-b").textContent = `B: ${other.label}`;
    document.getElementById("verdict").textContent = verdict(one, other);
    document.querySelector("#compared tbody").replaceChildren(...columns.map((column) => {
      const gap = difference(one.by_seed[column.metric], other.by_seed[column.metric]);
      const row = made("tr"), head = made("th", `${column.group}: ${column.label}${{ higher: " ↑", lower: " ↓", retrained: " ≈" }[column.direction] ?? ""}`);
      head.scope = "row";
      head.title = column.about;
      row.append(head, ...[shown(one.means[column.metric]), shown(other.means[column.metric]), shown(gap), better(column, one, other)].map((text) => made("td", text)));
      return row;
    }));
    const [said, others] = [window.answers[one.id] ?? [], window.answers[other.id] ?? []];
    document.getElementById("answers").replaceChildren(...said.map((each) => answer(each, others.find((its) => its.question === each.question && its.truth === each.truth))));
  }

  const models = [...new Set(entries.map((entry) => entry.model))];
  for (const select of [a, b]) {
    for (const model of models) {
      const group = made("optgroup");
      group.label = model;
      group.append(...entries.filter((entry) => entry.model === model).map((entry) => new Option(`${entry.label} (${entry.place})`, entry.id)));
      select.append(group);
    }
    select.addEventListener("change", compare);
  }
  const wanted = new URLSearchParams(window.location.search);
  const methods = entries.filter((entry) => entry.is_method);
  const first = byId.get(wanted.get("a")) ?? methods[0] ?? entries[0];
  const second = byId.get(wanted.get("b")) ?? entries.find((entry) => entry.model === first.model && entry.is_method && entry !== first) ?? entries.find((entry) => entry !== first) ?? first;
  [a.value, b.value] = [first.id, second.id];
  compare();
})();
