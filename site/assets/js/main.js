// Wires the page.  Each part does nothing where its elements are absent.
import { Store, difference, renamed } from "./progress.js";
import { Marks } from "./marks.js";
import { addCopyButtons } from "./copy.js";
import { startKeys } from "./keys.js";
import { startRows } from "./rows.js";
import { startScheme } from "./scheme.js";
import { startSearch } from "./search.js";

const base = new URL(document.querySelector("script[data-base][type=module]").dataset.base.replace(/\/?$/, "/"), location);

async function later(selector, module, start) {
  if (document.querySelector(selector)) start(await import(module));
}

startScheme();
startRows();
startSearch(base);
startKeys(base);
addCopyButtons();
for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}

// What an address names is shown, also where it is folded away.
function unfold() {
  const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const folded = named?.closest("details");
  if (folded) folded.open = true;
}
addEventListener("hashchange", unfold);
unfold();

const answer = await fetch(new URL("data/marks.json", base));
if (answer.ok) {
  const papers = await answer.json();
  const store = new Store(base);
  const moved = difference(store.marks, renamed(store.marks, papers));
  if (Object.keys(moved).length) store.change(moved, false);
  const marks = new Marks(store, papers, base);
  marks.start();
  const node = (event) => event.target.closest?.("a[data-node]") && later("a", "./card.js", (m) => m.startCards(marks, event));
  addEventListener("pointerover", node);
  addEventListener("focusin", node);
  await Promise.all([
    later("[data-filters]", "./filter.js", (m) => m.startList(marks, base)),
    later("[data-goal-form]", "./goals.js", (m) => m.startGoals(marks)),
    later("[data-graph-form]", "./graph.js", (m) => m.startGraph(marks, base)),
    later("[data-leads-form]", "./leads.js", (m) => m.startLeads(marks, base)),
    later("[data-wider]", "./neighbours.js", (m) => m.startNeighbours(marks)),
  ]);
}
document.documentElement.dataset.ready = "";
