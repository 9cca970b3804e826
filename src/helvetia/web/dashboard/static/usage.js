// Draws the rising line again so that it can be zoomed into, from the very numbers of its table, and says now and then
// what came in. Without this file the page holds the same figures and the line drawn on the server.
"use strict";

(() => {
  const drawn = new WeakMap();
  const SAY_EVERY_MS = 30000;
  let said = Date.now();

  const read = (figure) => {
    const rows = [...figure.querySelectorAll(".numbers tbody tr")];
    const at = rows.map((row) => Date.parse(row.querySelector("time").dateTime) / 1000);
    const values = rows.map((row) => {
      const data = row.querySelector("data");
      return data ? Number(data.value) : 0;
    });
    return [at, values];
  };

  const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const color = (name) => {
    const probe = document.createElement("i");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found || ink(name);
  };

  const form = (parts) => new Intl.DateTimeFormat(document.documentElement.lang === "de" ? "de-CH" : "en-GB", { timeZone: "UTC", ...parts });
  const days = form({ day: "numeric", month: "short" });
  const hours = form({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const dayOrHour = (u) => (at) => {
    const isShort = u.scales.x.max - u.scales.x.min <= 2 * 86400;
    return (isShort && at % 86400 ? hours : days).format(new Date(at * 1000));
  };

  const besideLabels = (_, labels) => Math.max(56, 16 + 7 * Math.max(0, ...(labels ?? []).map((label) => label.length)));

  const withLimit = (figure) => (u) => {
    const limit = Number(figure.dataset.limit);
    const y = u.valToPos(limit, "y", true);
    if (!limit || y < u.bbox.top || y > u.bbox.top + u.bbox.height) return;
    u.ctx.save();
    u.ctx.strokeStyle = color("--accent");
    u.ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
    u.ctx.beginPath();
    u.ctx.moveTo(u.bbox.left, y);
    u.ctx.lineTo(u.bbox.left + u.bbox.width, y);
    u.ctx.stroke();
    u.ctx.fillStyle = color("--accent-ink");
    u.ctx.font = `${12 * devicePixelRatio}px Inter, sans-serif`;
    u.ctx.textAlign = "right";
    u.ctx.textBaseline = "bottom";
    u.ctx.fillText(figure.dataset.limitWord, u.bbox.left + u.bbox.width, y - 4 * devicePixelRatio);
    u.ctx.restore();
  };

  const draw = (figure) => {
    const zoom = figure.querySelector(".zoom");
    const data = read(figure);
    const old = drawn.get(zoom);
    if (old && old.root.isConnected) {
      old.setData(data, false);
      old.redraw();
      return;
    }
    const unit = figure.dataset.unit;
    const words = (value) => (unit ? `${value} ${unit}` : `$${value}`);
    const limit = Number(figure.dataset.limit) || 0;
    const highest = Math.max(...data[1], 0);
    const top = limit && highest * 5 >= limit ? Math.max(limit, highest) : highest;
    const axis = { stroke: color("--ink-2"), grid: { stroke: color("--line-2"), width: 1 }, ticks: { show: false } };
    const font = "12px Inter, sans-serif";
    const plot = new uPlot(
      {
        width: figure.clientWidth,
        height: 214,
        tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "UTC"),
        legend: { show: false },
        scales: {
          x: { range: (u, low, high) => (drawn.get(zoom) && u.zoomed ? [low, high] : [Number(figure.dataset.starts), Number(figure.dataset.ends)]) },
          y: { range: () => [0, (top || 1) * 1.05] },
        },
        cursor: { drag: { x: true, y: false }, points: { size: 7 } },
        padding: [8, 24, 0, 0],
        series: [
          {},
          { stroke: color("--series-1"), width: 2, fill: "rgba(128, 140, 155, 0.12)", points: { show: false } },
        ],
        axes: [
          { ...axis, font, size: 28, space: 72, grid: { show: false }, values: (u, at) => at.map(dayOrHour(u)) },
          { ...axis, font, size: besideLabels, gap: 8, values: (u, values) => values.map(words) },
        ],
        hooks: { draw: [withLimit(figure)], setSelect: [(u) => { u.zoomed = u.select.width > 0; }] },
      },
      data,
      zoom,
    );
    plot.over.addEventListener("dblclick", () => { plot.zoomed = false; });
    drawn.set(zoom, plot);
  };

  const drawAll = () => {
    if (window.uPlot) document.querySelectorAll(".rising").forEach(draw);
  };

  const tell = () => {
    const news = document.getElementById("usage-news");
    const sentence = document.querySelector("#usage-head .sentence");
    if (!news || !sentence || Date.now() - said < SAY_EVERY_MS) return;
    said = Date.now();
    news.textContent = sentence.textContent;
  };

  document.addEventListener("htmx:after:swap", () => { drawAll(); tell(); });
  addEventListener("resize", () => {
    document.querySelectorAll(".rising").forEach((figure) => {
      const plot = drawn.get(figure.querySelector(".zoom"));
      if (plot) plot.setSize({ width: figure.clientWidth, height: 214 });
    });
  });
  drawAll();
})();
