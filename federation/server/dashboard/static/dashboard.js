"use strict";
// Draws the charts, and tells htmx when the server says that something has changed.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const strokes = () => dark.matches ? ["#6cb2ff", "#ffb454", "#7ee0a1", "#ff8f8f", "#c9a6ff"] : ["#0b6bcb", "#b25e00", "#13793f", "#c02626", "#6b3fc0"];
  const place = document.querySelector("[data-charts]");
  const whole = [1, 10, 100, 1e3, 1e4, 1e5].flatMap((tens) => [tens, 2 * tens, 5 * tens]); // nothing has half a number
  const short = (_, ticks) => ticks.map((tick) => String(Number(tick.toPrecision(4))));
  let drawn = [];

  function framed(chart) {
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    const empty = chart.series.every((one) => one.y.every((value) => value === null));
    caption.textContent = empty ? `${chart.title}: nothing yet` : chart.title;
    figure.append(caption);
    return { figure, chart, empty };
  }

  function draw({ figure, chart }) {
    const style = getComputedStyle(document.body);
    const axis = { stroke: style.color, grid: { stroke: "rgba(128,128,128,.25)" }, ticks: { stroke: "rgba(128,128,128,.25)" } };
    const lines = chart.series.map((one, i) => ({
      label: one.name, stroke: strokes()[i % strokes().length], width: 2, spanGaps: true, points: { show: chart.x.length < 60 },
    }));
    const width = Math.max(200, Math.floor(figure.clientWidth));
    const options = { width, height: 180, scales: { x: { time: false } }, axes: [{ ...axis, incrs: whole }, { ...axis, size: 60, values: short }], series: [{ label: "number" }, ...lines], legend: { live: false } };
    drawn.push(new uPlot(options, [chart.x, ...chart.series.map((one) => one.y)], figure));
    figure.setAttribute("role", "img");
    figure.setAttribute("aria-label", `${chart.title}, the last: ${chart.series.map((one) => `${one.name} ${one.y[one.y.length - 1]}`).join(", ")}`);
  }

  async function redraw() {
    if (!place) return;
    const answer = await fetch(place.dataset.charts, { cache: "no-store" });
    if (!answer.ok) return;
    const charts = await answer.json();
    drawn.forEach((one) => one.destroy());
    drawn = [];
    const frames = Object.values(charts).map(framed);
    place.replaceChildren(...frames.map((frame) => frame.figure)); // all of them, before the first is measured
    frames.filter((frame) => !frame.empty).forEach(draw);
    document.body.dataset.drawn = String(Number(document.body.dataset.drawn || 0) + 1);
  }

  redraw();
  dark.addEventListener("change", redraw);
  let resizing;
  addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(redraw, 200); });
  if (place) {
    const live = document.getElementById("live");
    const source = new EventSource("/events");
    source.onopen = () => { live.textContent = "live"; };
    source.onerror = () => { live.textContent = "looks every 20 s"; };
    let soon;
    source.addEventListener("changed", () => {
      clearTimeout(soon);
      soon = setTimeout(() => { htmx.trigger(document.body, "changed"); redraw(); }, 150);
    });
  }
})();
