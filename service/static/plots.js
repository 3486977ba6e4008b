// Draws every figure of the page, also those that htmx brings later. Vega's interpreter reads the
// specification, so that nothing is evaluated as code; colours are the page's own.
"use strict";

const ROOT = getComputedStyle(document.documentElement);
const colour = (name) => ROOT.getPropertyValue(name).trim();

function theme() {
  const axis = {
    domainColor: colour("--line"), gridColor: colour("--line"), tickColor: colour("--line"),
    labelColor: colour("--quiet"), titleColor: colour("--quiet"), titleFontWeight: "normal",
  };
  return {
    background: null,
    font: "system-ui, -apple-system, Segoe UI, Roboto, sans-serif",
    view: { stroke: null },
    axis,
    legend: { labelColor: colour("--ink"), titleColor: colour("--quiet"), titleFontWeight: "normal", orient: "top" },
    header: { labelColor: colour("--ink"), titleColor: colour("--quiet") },
    title: { color: colour("--ink") },
    line: { color: colour("--accent"), strokeWidth: 2 },
    point: { color: colour("--accent"), filled: true },
    bar: { color: colour("--accent") },
    area: { color: colour("--accent") },
    rule: { color: colour("--quiet") },
    text: { color: colour("--ink") },
    range: { category: ["--accent", "--plot-2", "--plot-3", "--plot-4", "--plot-5", "--plot-6"].map(colour) },
  };
}

async function draw(canvas) {
  const spec = JSON.parse(canvas.dataset.plot);
  if (spec.width === undefined && !spec.hconcat && !spec.facet) spec.width = "container";
  if (spec.height === undefined && !spec.vconcat && !spec.facet) spec.height = 240;
  spec.autosize = spec.autosize || { type: "fit", contains: "padding" };
  spec.config = { ...theme(), ...spec.config };
  const quiet = vegaParts.logger(vegaParts.Warn);
  const { spec: compiled } = vegaParts.compile(spec, { logger: quiet });
  const view = new vegaParts.View(vegaParts.parse(compiled, null, { ast: true }), {
    expr: vegaParts.expressionInterpreter, renderer: "svg", hover: true,
    loader: { load: refuse, sanitize: refuse, http: refuse, file: refuse },
  });
  await view.initialize(canvas).runAsync();
  canvas.dataset.drawn = "yes";
}

// A specification carries its own data; one that asks for an address is not ours
async function refuse() {
  throw new Error("A plot loads nothing.");
}

function drawAll(root) {
  for (const canvas of root.querySelectorAll("[data-plot]:not([data-drawn])")) {
    draw(canvas).catch((error) => {
      canvas.dataset.drawn = "no";
      canvas.textContent = "This plot could not be drawn; the figures are below.";
      console.warn(error);
    });
  }
}

document.addEventListener("DOMContentLoaded", () => drawAll(document));
document.addEventListener("htmx:load", (event) => drawAll(event.detail.elt.parentNode || document));
