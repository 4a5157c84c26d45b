// The graph: filters, one paper and what is around it, citations on demand, arrow keys, size.  The picture is there
// already, with links that work; nothing here moves a node.
import { fold, fromAddress, plural, toAddress, valuesOf } from "./dom.js";
import { keysAct, onKey } from "./keys.js";

const SVG = "http://www.w3.org/2000/svg";
const FIELDS = { q: "", topic: "", wr: "", status: "", focus: "", depth: "1", all: "", cites: "" };
const SIZES = [0.4, 0.55, 0.75, 1, 1.35, 1.8];
const MARGIN = 8; // left of a column that is rolled to
const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// How the border grows: everything within `depth` steps of `id`, either way.
export function around(id, near, depth) {
  const found = new Set([id]);
  let border = [id];
  for (let n = 0; n < depth && border.length; n += 1) {
    border = border.flatMap((one) => [...(near.get(one) ?? [])]).filter((other) => !found.has(other));
    border.forEach((one) => found.add(one));
  }
  return found;
}

// Whether one can go from one paper to another by way of a third, `kept` ones only.  opens: paper -> what builds on it.
export function byAnother(from, to, opens, kept) {
  const seen = new Set([from]);
  const left = [...(opens.get(from) ?? [])].filter((one) => one !== to);
  while (left.length) {
    const one = left.pop();
    if (one === to) return true;
    if (seen.has(one) || !kept.has(one)) continue;
    seen.add(one);
    left.push(...(opens.get(one) ?? []));
  }
  return false;
}

export function startGraph(marks, base) {
  const form = document.querySelector("[data-graph-form]");
  const chart = document.querySelector("[data-chart]");
  const box = document.querySelector("[data-chart-box]");
  const shown = document.querySelector("[data-shown]");
  const reset = document.querySelector("[data-reset]");
  const zoom = document.querySelector("[data-zoom]");
  const legend = document.querySelector("[data-cites-legend]");
  const followsLegend = document.querySelector("[data-follows-legend]");
  const nodes = new Map([...chart.querySelectorAll("[data-node]")].map((node) => [node.dataset.node, node]));
  const labels = new Map([...nodes].map(([id, node]) => [id, node.getAttribute("aria-label")]));
  const rows = new Map([...document.querySelectorAll("[data-row]")].map((row) => [row.dataset.row, row]));
  const words = new Map([...rows].map(([id, row]) => [id, fold(row.textContent)]));
  const arrows = [...chart.querySelectorAll("[data-from]")];
  const lanes = [...chart.querySelectorAll(".lane text")];
  const natural = { width: chart.viewBox.baseVal.width, height: chart.viewBox.baseVal.height };
  const columns = [...new Set([...nodes.keys()].map((id) => boxOf(id).x - MARGIN))];
  const near = new Map();
  const opens = new Map();
  let cited = null;
  let size = 3;
  let current = nodes.keys().next().value;

  for (const { dataset: { from, to } } of arrows) {
    near.set(from, (near.get(from) ?? new Set()).add(to));
    near.set(to, (near.get(to) ?? new Set()).add(from));
    opens.set(from, (opens.get(from) ?? new Set()).add(to));
  }

  function matches(id, want, parts) {
    const row = rows.get(id);
    return (
      (!want.topic || row.dataset.topics.split(" ").includes(want.topic)) &&
      (!want.wr || row.dataset.wr === want.wr) &&
      (!want.status || marks.state(id) === want.status) &&
      parts.every((part) => words.get(id).includes(part))
    );
  }

  async function citations(kept, focus) {
    chart.querySelectorAll(".e.cites").forEach((line) => line.remove());
    legend.hidden = !form.elements.cites.checked;
    if (!form.elements.cites.checked) return;
    cited ??= fetch(new URL("data/papers.json", base)).then((answer) => answer.json());
    const { papers } = await cited;
    if (!form.elements.cites.checked) return;
    chart.querySelectorAll(".e.cites").forEach((line) => line.remove());
    const first = chart.querySelector("[data-node]");
    for (const { id, cites = [] } of papers) {
      for (const other of cites) {
        if (!nodes.has(other) || !kept.has(id) || !kept.has(other)) continue;
        if (focus && id !== focus && other !== focus) continue;
        const line = document.createElementNS(SVG, "path");
        line.setAttribute("class", "e cites");
        line.setAttribute("d", between(boxOf(other), boxOf(id)));
        first.before(line);
      }
    }
  }

  function boxOf(id) {
    const { x, y, width, height } = nodes.get(id).querySelector("rect");
    return { x: x.baseVal.value, y: y.baseVal.value, width: width.baseVal.value, height: height.baseVal.value };
  }

  function between(a, b) {
    const [x1, y1, x2, y2] = [a.x + a.width, a.y + a.height / 2, b.x, b.y + b.height / 2];
    const bend = x2 > x1 ? Math.max(14, (x2 - x1) / 2) : 40;
    return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
  }

  function apply(remember) {
    const want = valuesOf(form, FIELDS);
    const parts = fold(want.q).split(/\s+/).filter(Boolean);
    const circle = want.focus ? around(want.focus, near, Number(want.depth)) : null;
    const kept = new Set([...nodes.keys()].filter((id) => matches(id, want, parts) && (!circle || circle.has(id))));
    for (const [id, node] of nodes) {
      const state = marks.state(id);
      node.classList.toggle("is-dim", !kept.has(id));
      node.classList.toggle("is-focus", id === want.focus);
      node.setAttribute("aria-label", `${labels.get(id)}; ${state}${kept.has(id) ? "" : "; filtered out"}`);
      rows.get(id).hidden = !kept.has(id);
      rows.get(id).querySelector("[data-status]").textContent = state;
    }
    for (const arrow of arrows) arrow.classList.toggle("is-dim", !(kept.has(arrow.dataset.from) && kept.has(arrow.dataset.to)));
    // What follows from other arrows is drawn where those are dimmed with the paper between.
    for (const arrow of arrows.filter((one) => one.classList.contains("follows"))) {
      const { from, to } = arrow.dataset;
      const bare = kept.has(from) && kept.has(to) && !byAnother(from, to, opens, kept);
      arrow.classList.toggle("is-shown", bare || want.all === "1");
    }
    followsLegend.hidden = !chart.querySelector(".follows.is-shown");
    const filtered = kept.size < nodes.size || want.q !== "";
    shown.textContent = filtered ? `${kept.size} of ${plural(nodes.size, "paper")}` : plural(nodes.size, "paper");
    reset.hidden = !filtered;
    citations(kept, want.focus);
    if (remember) {
      toAddress({ ...want, depth: want.focus && want.depth !== FIELDS.depth ? want.depth : "" });
      if (filtered && kept.size) show(kept.has(want.focus) ? want.focus : [...kept][0]);
    }
  }

  // Rolls the box, never the page, to a node; to the left of a column, so that no name is cut there.
  function show(id) {
    const { x, y, width } = boxOf(id);
    const scale = chart.getBoundingClientRect().width / natural.width;
    const wanted = x + width / 2 - box.clientWidth / 2 / scale;
    const left = Math.max(0, ...columns.filter((column) => column <= Math.max(wanted, 0)));
    box.scrollTo({ left: left * scale, top: y * scale - box.clientHeight / 2 });
  }

  function follow(id, on) {
    const mine = near.get(id) ?? new Set();
    chart.classList.toggle("is-following", on);
    for (const [other, node] of nodes) node.classList.toggle("is-near", on && (other === id || mine.has(other)));
    for (const arrow of arrows) arrow.classList.toggle("is-near", on && [arrow.dataset.from, arrow.dataset.to].includes(id));
  }

  function roam(id) {
    nodes.get(current).setAttribute("tabindex", "-1");
    current = id;
    nodes.get(id).setAttribute("tabindex", "0");
  }

  // The nearest node in a direction; what is joined by an arrow counts as half as far.
  function beside(id, [dx, dy]) {
    const here = boxOf(id);
    let best = null;
    for (const [other, node] of nodes) {
      if (other === id || node.classList.contains("is-dim")) continue;
      const there = boxOf(other);
      const [ahead, aside] = dx
        ? [dx * (there.x - here.x), Math.abs(there.y - here.y)]
        : [dy * (there.y - here.y), Math.abs(there.x - here.x)];
      if (ahead <= 0) continue;
      const far = (ahead + 2 * aside) * (near.get(id)?.has(other) ? 0.5 : 1);
      if (!best || far < best.far) best = { other, far };
    }
    return best?.other;
  }

  function resize(to) {
    size = Math.min(Math.max(to, 0), SIZES.length - 1);
    draw(SIZES[size]);
  }

  // Both sides: with the width alone the picture would stay as it is, in the middle of more margin.
  function draw(scale) {
    chart.style.width = `${natural.width * scale}px`;
    chart.style.height = `${natural.height * scale}px`;
    rule();
  }

  // Names of the lanes stay in sight while the picture is rolled.
  function rule() {
    const scale = chart.getBoundingClientRect().width / natural.width;
    for (const lane of lanes) lane.setAttribute("x", 8 + box.scrollLeft / scale);
  }

  zoom.addEventListener("click", ({ target }) => {
    const zoomTo = target.closest("[data-zoom-to]")?.dataset.zoomTo;
    if (zoomTo === "fit") {
      const scale = Math.max(box.clientWidth / natural.width, 0.2);
      size = Math.max(SIZES.findIndex((s) => s >= scale), 0);
      draw(scale);
    } else if (zoomTo) resize(size + (zoomTo === "in" ? 1 : -1));
  });
  box.addEventListener("scroll", rule, { passive: true });
  for (const [id, node] of nodes) {
    node.setAttribute("tabindex", id === current ? "0" : "-1");
    node.addEventListener("mouseenter", () => follow(id, true));
    node.addEventListener("mouseleave", () => follow(id, false));
    node.addEventListener("focus", () => {
      roam(id);
      follow(id, true);
    });
    node.addEventListener("blur", () => follow(id, false));
  }
  chart.addEventListener("keydown", (event) => {
    const id = event.target.closest("[data-node]")?.dataset.node;
    if (!id || event.ctrlKey || event.metaKey || event.altKey) return;
    if (WAYS[event.key]) {
      event.preventDefault();
      const next = beside(id, WAYS[event.key]);
      if (!next) return;
      nodes.get(next).focus({ preventScroll: true });
      show(next);
    } else if (!keysAct()) {
      return;
    } else if (event.key === "x") {
      event.preventDefault();
      marks.toggle(id);
    } else if (event.key === "a") {
      form.elements.focus.value = form.elements.focus.value === id ? "" : id;
      apply(true);
    }
  });
  onKey("/", "find a paper", () => form.elements.q.focus());
  onKey("← → ↑ ↓", "in the picture: to the paper beside", () => {});
  onKey("a", "in the picture: only what is around a paper", () => {});
  onKey("x", "in the picture: mark as read, or not", () => {});
  form.addEventListener("input", () => apply(true));
  form.addEventListener("submit", (event) => event.preventDefault());
  reset.addEventListener("click", () => {
    form.reset();
    apply(true);
    form.elements.q.focus();
  });
  marks.onChange(() => apply(false));
  form.hidden = false;
  zoom.hidden = false;
  fromAddress(form, FIELDS);
  apply(false);
  const { focus } = valuesOf(form, FIELDS);
  if (nodes.has(focus)) show(focus);
  rule();
}
