// charts.js - the six charts: how each data set is drawn with Chart.js, in the colours of the page's theme.
// SPDX-License-Identifier: MIT

/* global Chart */

import { OUTLINES } from "./outlines.js";

const ICON_FULL = "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5";
const ICON_BACK = "M9 4v5H4M20 9h-5V4M15 20v-5h5M4 15h5v5";
const PALETTE = ["--c1", "--c2", "--c3", "--c4", "--c5"];
const SHOWN = 5; // bars at a time, of a longer list
const TURN = 6000; // milliseconds until the next ones are shown

// What a variable of the style sheet is now, as Chart.js can use it.
function colour(name, alpha = 1) {
  const probe = document.createElement("i");
  probe.style.color = `color-mix(in srgb, var(${name}) ${alpha * 100}%, transparent)`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

const palette = (count, alpha) => Array.from({ length: count }, (_, i) => colour(PALETTE[i % PALETTE.length], alpha));
const values = (list) => list.map((each) => each.value);
const labels = (list) => list.map((each) => each.name);
const by = (list) => [...list].sort((a, b) => b.value - a.value);

// A list that is too long for its chart is shown a part at a time, round and round.
const part = (list, turn) => {
  const start = (turn * SHOWN) % list.length;
  return list.slice(start, start + SHOWN);
};

const axis = (more = {}) => ({
  grid: { color: colour("--line", 0.7), drawBorder: false }, ticks: { color: colour("--soft") }, ...more,
});
const bare = { grid: { display: false, drawBorder: false } };
const legend = (size) => ({
  display: true, position: size?.width > size?.height ? "right" : "bottom",
  labels: { color: colour("--soft"), boxWidth: 10, boxHeight: 10, usePointStyle: true },
});

const map = {
  id: "map",
  beforeDatasetsDraw({ ctx, chartArea, scales: { x, y } }) {
    ctx.save();
    ctx.beginPath();
    ctx.rect(chartArea.left, chartArea.top, chartArea.width, chartArea.height);
    ctx.clip();
    ctx.fillStyle = colour("--land");
    for (const outline of OUTLINES) {
      ctx.beginPath();
      for (const [longitude, latitude] of outline) ctx.lineTo(x.getPixelForValue(longitude), y.getPixelForValue(latitude));
      ctx.fill();
    }
    ctx.restore();
  },
  afterDatasetsDraw(chart) {
    const { ctx, width } = chart;
    const size = width > 900 ? 15 : 11;
    ctx.save();
    ctx.fillStyle = colour("--ink");
    ctx.font = `${size}px ${Chart.defaults.font.family}`;
    const circles = [...chart.getDatasetMeta(0).data].sort((a, b) => b.$context.raw.value - a.$context.raw.value);
    for (const circle of circles.slice(0, width > 600 ? 22 : width > 400 ? 7 : 3)) {
      const { name, r } = circle.$context.raw;
      const end = circle.x + 2 * size + ctx.measureText(name).width;
      const isTaken = circles.some(({ x, y }) => x > circle.x && x < end && Math.abs(y - circle.y) < size);
      ctx.textAlign = isTaken ? "right" : "left";
      ctx.fillText(name, circle.x + (isTaken ? -r - 3 : r + 3), circle.y + 4);
    }
    ctx.restore();
  },
};

// Longitudes are narrower up there: the map keeps its shape whatever room there is.
const LONGITUDES = [-11, 31], LATITUDES = [35, 62], NARROW = 0.62;
function mapScales(width, height) {
  const centre = [(LONGITUDES[0] + LONGITUDES[1]) / 2, (LATITUDES[0] + LATITUDES[1]) / 2];
  const degrees = Math.max((LATITUDES[1] - LATITUDES[0]) / height, ((LONGITUDES[1] - LONGITUDES[0]) * NARROW) / width);
  const across = (degrees * width) / NARROW / 2, up = (degrees * height) / 2;
  return {
    x: { display: false, min: centre[0] - across, max: centre[0] + across },
    y: { display: false, min: centre[1] - up, max: centre[1] + up },
  };
}

function bars(list, horizontal, turn, { width }) {
  const shown = part(by(list), turn);
  const numbers = axis({ beginAtZero: true, suggestedMax: Math.max(...values(list)) });
  const names = { ...bare, ticks: { color: colour("--ink"), maxRotation: width > 400 ? 0 : 50, autoSkip: false } };
  return {
    type: "bar",
    data: {
      labels: horizontal ? labels(shown) : labels(shown).map((label) => label.split(" ")), // one line for each word
      datasets: [{
        data: values(shown), backgroundColor: palette(shown.length, 0.9), borderRadius: 6, maxBarThickness: 34,
      }],
    },
    options: {
      indexAxis: horizontal ? "y" : "x",
      scales: horizontal ? { x: numbers, y: names } : { x: names, y: numbers },
    },
  };
}

// Each takes the figures, which part of them it is the turn of, and the size of the plot; each returns what Chart.js wants.
const DRAW = {
  trend: ({ months, series, unit }) => ({
    type: "line",
    data: {
      labels: months,
      datasets: series.map((each, i) => ({
        label: each.name, data: each.values, fill: i === 0 ? "origin" : "-1", tension: 0.35, pointRadius: 0,
        borderWidth: 2, borderColor: palette(series.length)[i],
        backgroundColor: palette(series.length, 0.22)[i],
      })),
    },
    options: {
      interaction: { mode: "index", intersect: false },
      scales: {
        x: axis(bare),
        y: axis({ stacked: true, beginAtZero: true, title: { display: true, text: unit, color: colour("--soft") } }),
      },
      plugins: { legend: legend() },
    },
  }),
  seller: (list, turn, size) => bars(list, true, turn, size),
  rank: (list, turn, size) => bars(list, false, turn, size),
  map: (cities, _, { width, height }) => ({
    type: "bubble",
    data: {
      datasets: [{
        data: cities.map(({ name, longitude, latitude, value }) => ({
          name, value, x: longitude, y: latitude, r: (Math.sqrt(value) * Math.min(width, 700)) / 560,
        })),
        backgroundColor: colour("--c3", 0.55), borderColor: colour("--c3"), borderWidth: 1,
      }],
    },
    options: {
      scales: mapScales(width, height),
      plugins: { tooltip: { callbacks: { label: ({ raw }) => `${raw.name}: ${raw.value} orders` } } },
    },
    plugins: [map],
  }),
  hot: (groups, turn, size) => {
    const { name, children } = groups[turn % groups.length];
    return {
      type: "doughnut",
      data: {
        labels: labels(children),
        datasets: [{ data: values(children), backgroundColor: palette(children.length), borderWidth: 0, spacing: 2 }],
      },
      options: {
        cutout: "58%",
        plugins: { legend: legend(size), title: { display: true, text: name, color: colour("--ink"), font: { size: 14 } } },
      },
    };
  },
  stock: (articles, _, size) => ({
    type: "doughnut",
    data: {
      labels: articles.map(({ name, sold, stock }) => `${name} ${sold} of ${stock}`),
      datasets: articles.map(({ name, sold, stock }, i) => ({
        label: name, data: [sold, stock - sold], backgroundColor: [palette(articles.length)[i], colour("--line", 0.7)],
        borderWidth: 0, spacing: 1, borderRadius: 3,
      })),
    },
    options: {
      cutout: "22%",
      plugins: {
        tooltip: {
          callbacks: { label: ({ dataset, dataIndex, raw }) => `${dataset.label}: ${raw} ${dataIndex ? "left" : "sold"}` },
        },
        legend: { ...legend(size), labels: { ...legend().labels, generateLabels: ringLabels } },
      },
    },
  }),
};

// A ring is one article, so the legend names rings and not parts.
function ringLabels({ data }) {
  return data.labels.map((text, i) => ({
    text, fontColor: colour("--soft"), fillStyle: data.datasets[i].backgroundColor[0], lineWidth: 0, pointStyle: "circle",
  }));
}

function icon(path) {
  return `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${path}"/></svg>`;
}

/**
 * A card with one of the charts.
 * @param {string} name of the data set
 * @param {string} title
 * @param {(full: boolean) => void} [onFull] somebody wants it in full screen, or back; without it there is no button
 */
export function chartCard(name, title, onFull) {
  const card = document.createElement("section");
  card.className = "chart card";
  card.style.gridArea = name;
  card.dataset.chart = name;
  card.innerHTML = `<header><h2></h2></header><div class="plot"><canvas role="img"></canvas></div>`;
  card.querySelector("h2").textContent = title;
  const canvas = card.querySelector("canvas"), plot = card.querySelector(".plot");
  canvas.ariaLabel = `Chart: ${title}`;
  const button = document.createElement("button");
  button.type = "button";
  button.onclick = () => onFull(!card.classList.contains("full"));
  if (onFull) card.querySelector("header").append(button);

  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let chart = null, figures = null, turn = 0;

  function draw(mode) {
    if (!figures || !plot.clientWidth) return;
    const wanted = DRAW[name](figures, turn, { width: plot.clientWidth, height: plot.clientHeight });
    const plugins = { legend: { display: false }, ...wanted.options.plugins };
    const options = { maintainAspectRatio: false, animation: still ? false : { duration: 700 }, ...wanted.options, plugins };
    if (!chart) {
      chart = new Chart(canvas, { ...wanted, options });
      return;
    }
    chart.options = options;
    chart.data.labels = wanted.data.labels;
    // The same objects, where there are, so that what is drawn moves from the old figures to the new ones.
    chart.data.datasets = wanted.data.datasets.map((dataset, i) => Object.assign(chart.data.datasets[i] ?? {}, dataset));
    chart.update(mode);
  }

  new ResizeObserver(() => draw("none")).observe(plot); // figures move, sizes don't
  setInterval(() => {
    turn += 1;
    if (["seller", "rank", "hot"].includes(name)) draw();
  }, TURN);

  const made = {
    card,
    restyle: () => draw("none"),
    show(next) {
      figures = next;
      card.dataset.shown = JSON.stringify(next);
      draw();
    },
    setFull(full) {
      card.classList.toggle("full", full);
      button.innerHTML = icon(full ? ICON_BACK : ICON_FULL);
      button.ariaLabel = full ? `${title}: back to its place` : `${title}: full screen`;
    },
  };
  made.setFull(false);
  return made;
}

Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
