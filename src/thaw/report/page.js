// SPDX-License-Identifier: Apache-2.0
//
// Tells Chart.js what the figures in #charts look like. It computes nothing that a reader could take
// for a result: values, intervals and what hovering says come from the program.
"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const kRowPixels = 25, kWordsAcross = 20, kTipAcross = 38;
  const kDashes = [
    [], [2, 3], [7, 3], [8, 3, 2, 3],
    [14, 4], [2, 7], [7, 7], [8, 7, 2, 7],  // of clones of different snapshots
  ];
  // Shapes, for those to whom a colour says little.
  const kShapes = {
    present: "rect", mapping: "rectRot", mapping_cached: "triangle",
    study_on_demand: "triangle", study_reap: "rect", study_faasnap: "rectRot",
    on_demand: "triangle", reap: "rect", faasnap: "rectRot", chunks: "star", hot: "circle",
    mark1: "circle", mark2: "rectRot",
  };

  const colour = (role) =>
    getComputedStyle(document.documentElement).getPropertyValue("--" + role).trim() || "#888888";

  // Words in lines of at most `across` letters; a word that is longer has a line of its own.
  const lines = (text, across) => {
    const made = [""];
    // No line begins with the sign of a percentage.
    for (const word of text.replace(/(\d) %/g, "$1\u00a0%").split(" ")) {
      const longer = made[made.length - 1] + (made[made.length - 1] ? " " : "") + word;
      if (longer.length > across && made[made.length - 1]) made.push(word);
      else made[made.length - 1] = longer;
    }
    return made;
  };

  const short = (value) => {
    const size = Math.abs(value);
    if (size !== 0 && (size >= 1e7 || size < 1e-3)) return value.toExponential(0).replace("+", "");
    return (Number.isInteger(value) ? value : Number(value.toPrecision(3))).toLocaleString("en");
  };

  // What fits of 1, 2, 5, 10, 20: all, or whole decades only.
  const logarithmicTicks = (axis) => {
    const decades = Math.log10(axis.max / axis.min);
    const pixels = axis.isHorizontal() ? axis.chart.width * 0.7 : axis.chart.height * 0.7;
    const digits = decades < 0.7 ? [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8]
      : pixels / decades > 100 || decades < 1.5 ? [1, 2, 5] : [1];
    axis.ticks = [];
    for (let power = Math.floor(Math.log10(axis.min)); power <= Math.log10(axis.max); power++) {
      for (const digit of digits) {
        const value = Number((digit * 10 ** power).toPrecision(3));
        if (value >= axis.min && value <= axis.max) axis.ticks.push({value});
      }
    }
  };

  // `values` are all that has to be on a logarithmic axis.
  const axisOf = (axis, values, more) => {
    const positive = values.filter((value) => Number.isFinite(value) && value > 0);
    if (axis.line_at) positive.push(axis.line_at);
    const range = axis.logarithmic
      ? {min: Math.min(...positive) / 1.15, max: Math.max(...positive) * 1.15,
         afterBuildTicks: logarithmicTicks} : {};
    const across = Math.max(20, Math.floor(document.documentElement.clientWidth / 13));
    return {
      type: axis.logarithmic ? "logarithmic" : "linear",
      title: {display: true, text: lines(axis.title, Math.min(60, across)), color: colour("text")},
      grid: {color: colour("grid"), borderColor: colour("line"), tickColor: colour("line")},
      ...range, ...more,
      ticks: {color: colour("quiet"), maxRotation: 0, callback: short, ...(more && more.ticks)},
    };
  };

  // Ticks where the data are, and nowhere else.
  const ticksAt = (values) => (axis) => { axis.ticks = values.map((value) => ({value})); };

  const tipOf = (context) => {
    const raw = context.raw;
    if (raw && raw.tip) return lines(raw.tip, kTipAcross);
    if (raw && raw.x !== undefined) {
      return lines(`${context.dataset.label}: ${short(raw.y)} % at most ${short(raw.x)}`, kTipAcross);
    }
    return "";
  };

  const lookOf = (series) => ({
    label: series.name, group: series.name, hidden: series.hidden,
    borderColor: colour(series.role), backgroundColor: colour(series.role),
    pointStyle: kShapes[series.role] || "circle",
  });

  // An interval: from its low to its high end, with a stroke across each.
  const whiskersOf = (series, ends, rotation) => ({
    ...lookOf(series), aux: true, showLine: true, spanGaps: false, borderWidth: 2,
    pointStyle: "line", rotation, pointRadius: 4, pointHoverRadius: 4, pointBorderWidth: 2,
    data: series.points.filter((point) => point[2] != null && point[3] != null)
      .flatMap((point) => [...ends(point).map((at) => ({...at, tip: point[4]})), {x: NaN, y: NaN}]),
  });

  const referenceOf = (name, from, to) => ({
    label: name, group: name, reference: true, showLine: true, borderColor: colour("reference"),
    backgroundColor: colour("reference"), borderWidth: 1.5, borderDash: [5, 4], pointRadius: 0,
    pointHoverRadius: 0, pointStyle: "line", data: [{...from, tip: name}, {...to, tip: name}],
  });

  const optionsOf = (scales, interaction) => ({
    animation: false, responsive: true, maintainAspectRatio: false, color: colour("text"),
    interaction, scales,
    plugins: {
      legend: {display: false},
      tooltip: {
        backgroundColor: colour("text"), titleColor: colour("ground"), bodyColor: colour("ground"),
        usePointStyle: true, boxPadding: 4, callbacks: {title: () => "", label: tipOf},
      },
    },
  });

  const rowLabel = (row) => (row.heading
    ? row.label.split(/(?<=,) /).flatMap((piece) => lines(piece, kWordsAcross)) : row.label);

  // Where the rows stand: headings of several lines take more room.
  const placesOf = (rows) => {
    let at = 0;
    return rows.map((row) => {
      const extra = row.heading ? (rowLabel(row).length - 1) * 0.55 : 0;
      const place = at + extra / 2;
      at += 1 + extra;
      return place;
    });
  };

  const rowTicks = (rows, labelOf) => ({
    autoSkip: false, crossAlign: "far", padding: 4,
    font: (context) => ({weight: rows[context.index]?.heading ? "bold" : "normal", size: 12}),
    color: (context) => colour(rows[context.index]?.heading ? "text" : "quiet"),
    callback: labelOf,
  });

  const rowsChart = (panel) => {
    const places = placesOf(panel.rows);
    const end = places[places.length - 1] + 0.7;
    const sets = panel.series.flatMap((series) => [
      {
        ...lookOf(series), showLine: false, pointRadius: 5, pointHoverRadius: 7,
        data: series.points.map((p) => ({x: p[0], y: places[p[1]], tip: p[4]})),
      },
      whiskersOf(series, (p) => [{x: p[2], y: places[p[1]]}, {x: p[3], y: places[p[1]]}], 90),
    ]);
    if (panel.x.line_at !== undefined) {
      const x = panel.x.line_at;
      sets.push(referenceOf(panel.x.line_name, {x, y: -0.7}, {x, y: end}));
    }
    const scales = {
      x: axisOf(panel.x, panel.series.flatMap((each) => each.points.flatMap((p) =>
        [p[0], p[2] ?? p[0], p[3] ?? p[0]]))),
      y: {
        type: "linear", reverse: true, min: -0.7, max: end, afterBuildTicks: ticksAt(places),
        grid: {display: false, borderColor: colour("line")},
        ticks: rowTicks(panel.rows, (_, index) => rowLabel(panel.rows[index])),
      },
    };
    return {
      pixels: 65 + kRowPixels * (end + 0.7), legend: (set) => set.reference,
      type: "scatter", data: {datasets: sets},
      options: optionsOf(scales, {mode: "nearest", intersect: false}),
    };
  };

  const barsChart = (panel, asShares) => {
    const bars = panel.series.filter((series) => series.role.startsWith("part"));
    const marks = asShares ? [] : panel.series.filter((series) => !series.role.startsWith("part"));
    const sums = panel.rows.map((_, row) =>
      bars.reduce((sum, series) => sum + (series.points.find((p) => p[1] === row)?.[0] ?? 0), 0));
    const valuesOf = (series) => panel.rows.map((_, row) => {
      const point = series.points.find((p) => p[1] === row);
      if (!point) return null;
      return asShares ? (sums[row] > 0 ? (100 * point[0]) / sums[row] : null) : point[0];
    });
    const tipsOf = (series) => panel.rows.map((_, row) => series.points.find((p) => p[1] === row)?.[4]);
    const sets = [
      ...marks.map((series) => ({
        // A dot, and a hollow diamond in which it may lie.
        ...lookOf(series), type: "line", stack: series.role, showLine: false,
        ...(kShapes[series.role] === "circle"
          ? {pointRadius: 4, pointHoverRadius: 6, borderColor: colour("ground")}
          : {pointRadius: 8, pointHoverRadius: 9, borderWidth: 2, pointBorderWidth: 2,
             backgroundColor: "transparent"}),
        data: valuesOf(series), tips: tipsOf(series),
      })),
      ...bars.map((series) => ({
        ...lookOf(series), type: "bar", stack: "parts", pointStyle: "rect",
        borderWidth: 0, barPercentage: 0.85,
        categoryPercentage: 0.95, data: valuesOf(series), tips: tipsOf(series),
      })),
    ];
    const x = asShares ? {title: "share of the bar, %"} : panel.x;
    const scales = {
      x: {...axisOf(x, []), stacked: true, beginAtZero: true, max: asShares ? 100 : undefined},
      y: {
        type: "category", labels: panel.rows.map(rowLabel), stacked: true, offset: true,
        grid: {display: false, borderColor: colour("line")},
        ticks: rowTicks(panel.rows, (_, index) => rowLabel(panel.rows[index])),
      },
    };
    const options = optionsOf(scales, {mode: "index", axis: "y", intersect: false});
    options.indexAxis = "y";
    options.plugins.tooltip.callbacks = {
      title: (items) => (items.length ? [panel.rows[items[0].dataIndex].label] : ""),
      label: (context) => lines(context.dataset.tips[context.dataIndex] || "", kTipAcross),
    };
    options.plugins.tooltip.filter = (item) => Boolean(item.dataset.tips[item.dataIndex]);
    return {
      pixels: 70 + (kRowPixels + 3) * panel.rows.length, legend: () => true,
      type: "bar", data: {labels: panel.rows.map(rowLabel), datasets: sets}, options,
    };
  };

  const linesChart = (panel) => {
    const all = panel.series.flatMap((series) => series.points.map((p) => p[0]));
    const places = [...new Set(all)].sort((a, b) => a - b);
    const sets = panel.series.flatMap((series) => [
      {
        ...lookOf(series), showLine: true, borderWidth: 2, borderDash: kDashes[series.dash],
        pointRadius: 4, pointHoverRadius: 6,
        data: series.points.map((p) => ({x: p[0], y: p[1], tip: p[4]})),
      },
      whiskersOf(series, (p) => [{x: p[0], y: p[2]}, {x: p[0], y: p[3]}], 0),
    ]);
    const [least, most] = [places[0] / 1.25, places[places.length - 1] * 1.25];
    if (panel.y.line_at !== undefined) {
      const y = panel.y.line_at;
      sets.push(referenceOf(panel.y.line_name, {x: least, y}, {x: most, y}));
    }
    const scales = {
      x: axisOf(panel.x, places, {
        min: least, max: most, afterBuildTicks: ticksAt(places),
        ticks: {autoSkip: true, callback: short},
      }),
      y: axisOf(panel.y, panel.series.flatMap((each) => each.points.flatMap((p) =>
        [p[1], p[2] ?? p[1], p[3] ?? p[1]]))),
    };
    return {
      pixels: 380, legend: (set) => !set.aux, type: "scatter", data: {datasets: sets},
      options: optionsOf(scales, {mode: "nearest", intersect: false}),
    };
  };

  const stepsChart = (panel) => {
    const sets = panel.series.map((series) => ({
      ...lookOf(series), showLine: true, stepped: "before", borderWidth: 2, pointRadius: 0,
      pointHoverRadius: 5, borderDash: kDashes[series.dash],
      data: series.points.map((p) => ({x: p[0], y: p[1]})),
    }));
    if (panel.x.line_at !== undefined) {
      const x = panel.x.line_at;
      sets.push(referenceOf(panel.x.line_name, {x, y: 0}, {x, y: 100}));
    }
    const scales = {
      x: axisOf(panel.x, panel.series.flatMap((each) => each.points.map((p) => p[0]))),
      // Room for a line at either end.
      y: axisOf(panel.y, [], {
        min: -3, max: 103, afterBuildTicks: ticksAt([0, 20, 40, 60, 80, 100]),
      }),
    };
    return {
      pixels: 380, legend: () => true, type: "scatter", data: {datasets: sets},
      options: optionsOf(scales, {mode: "nearest", intersect: false}),
    };
  };

  // A sample of what a series looks like in the chart.
  const sampleOf = (set, kind) => {
    const make = (name, attributes) => {
      const made = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
      return made;
    };
    const wide = set.reference || (set.showLine && kind !== "rows");
    const sample = make("svg", {width: wide ? 28 : 12, height: 12, "aria-hidden": "true"});
    if (wide) {
      sample.append(make("line", {
        x1: 0, x2: 28, y1: 6, y2: 6, stroke: set.borderColor, "stroke-width": 2.5,
        "stroke-dasharray": set.borderDash.join(" "),
      }));
    } else if (set.type === "line") {
      const turned = set.pointStyle === "rectRot";
      sample.append(turned
        ? make("path", {d: "M6 1L11 6L6 11L1 6Z", fill: "none", stroke: set.borderColor, "stroke-width": 2})
        : make("circle", {cx: 6, cy: 6, r: 4.5, fill: set.backgroundColor}));
    } else {
      sample.append(make("rect", {width: 12, height: 12, fill: set.backgroundColor}));
    }
    return sample;
  };

  // Of buttons, for a keyboard and a phone: each shows and hides a series with its intervals.
  const addLegend = (section, chart, kind, wanted) => {
    const legend = section.querySelector(".legend");
    legend.replaceChildren();
    chart.data.datasets.forEach((set, index) => {
      if (!wanted(set)) return;
      const item = document.createElement(set.reference ? "span" : "button");
      item.append(sampleOf(set, kind), set.label);
      legend.append(item);
      if (set.reference) return;
      item.type = "button";
      item.setAttribute("aria-pressed", String(chart.isDatasetVisible(index)));
      item.addEventListener("click", () => {
        const shown = !chart.isDatasetVisible(index);
        chart.data.datasets.forEach((each, i) => {
          if (each.group === set.group) chart.setDatasetVisibility(i, shown);
        });
        item.setAttribute("aria-pressed", String(shown));
        chart.update();
      });
    });
  };

  const drawn = new Map();
  const draw = (figure) => {
    const section = document.getElementById(figure.id);
    const chosen = (name) => section.querySelector(`select[name="${name}"]`)?.value;
    const panel = figure.panels[Number(chosen("panel") ?? 0)];
    const make = {
      rows: rowsChart, lines: linesChart, steps: stepsChart,
      bars: (each) => barsChart(each, chosen("scale") === "share"),
    };
    const {pixels, legend, ...config} = make[figure.kind](panel);
    section.querySelector(".chart").style.height = `${Math.round(pixels)}px`;
    drawn.get(figure.id)?.destroy();
    const chart = new Chart(section.querySelector("canvas"), config);
    drawn.set(figure.id, chart);
    addLegend(section, chart, figure.kind, legend);
  };

  const addChoice = (figure, name, text, choices) => {
    const label = document.createElement("label");
    label.textContent = text;
    const select = document.createElement("select");
    select.name = name;
    for (const [value, words] of choices) select.add(new Option(words, value));
    select.addEventListener("change", () => draw(figure));
    label.append(select);
    document.getElementById(figure.id).querySelector(".controls").append(label);
  };

  Chart.defaults.font.family = "system-ui, sans-serif";
  for (const figure of charts) {
    if (figure.panels.length > 1) {
      addChoice(figure, "panel", "Function", figure.panels.map((panel, i) => [i, panel.name]));
    }
    if (figure.kind === "bars") {
      addChoice(figure, "scale", "Length", [["value", "as measured"], ["share", "share of each row"]]);
    }
    draw(figure);
  }
  dark.addEventListener("change", () => charts.forEach(draw));
})();
