// The list of papers: filters, sort, views and keys.  All of it lives in the address, so that a view can be kept and sent.
import { fold, fromAddress, plural, toAddress, valuesOf } from "./dom.js";
import { onKey } from "./keys.js";

const FIELDS = { q: "", topic: "", wr: "", status: "", year: "", kind: "", code: "", sort: "" };
const FACETS = {
  topic: (row) => row.dataset.topics.split(" "),
  wr: (row) => [row.dataset.wr],
  status: () => [],
  year: (row) => [row.dataset.year],
  kind: (row) => [row.dataset.kind],
  code: (row) => (row.dataset.code ?? "").split(" "),
};
const NAMES = Object.keys(FACETS);
const ROWS_PER_FRAME = 40;
const SORTS = {
  "": (row) => [Number(row.dataset.order)],
  new: (row) => [-Number(row.dataset.year), Number(row.dataset.order)],
  old: (row) => [Number(row.dataset.year) || 9999, Number(row.dataset.order)],
  wr: (row) => [-Number(row.dataset.wr), Number(row.dataset.order)],
  title: (row) => [fold(row.querySelector(".row-title").textContent)],
};

function compare(a, b) {
  for (let i = 0; i < a.length; i += 1) if (a[i] !== b[i]) return a[i] < b[i] ? -1 : 1;
  return 0;
}

export function startList(marks, base) {
  const form = document.querySelector("[data-filters]");
  const table = document.querySelector("[data-papers]");
  const list = document.querySelector("[data-list]");
  const rows = [...list.children];
  const shown = document.querySelector("[data-shown]");
  const empty = document.querySelector("[data-empty]");
  const facets = document.querySelector("[data-facets-of]");
  const resets = [...document.querySelectorAll("[data-reset]")];
  const views = document.querySelector("[data-views]");
  const text = new Map(rows.map((row) => [row, fold(row.textContent)]));
  const values = new Map(rows.map((row) => [row, Object.fromEntries(NAMES.map((name) => [name, FACETS[name](row)]))]));
  const options = NAMES.filter((name) => form.elements[name]).flatMap((name) =>
    [...form.elements[name].options].filter((option) => option.value).map((option) => ({ name, option, label: option.text })));
  let sorted = "";
  let view = new URLSearchParams(location.search).get("view") === "cards" ? "cards" : "table";
  let cursor = null;
  let frame = 0;

  function sort(by) {
    if (by === sorted) return;
    const keys = new Map(rows.map((row) => [row, SORTS[by](row)]));
    rows.sort((a, b) => compare(keys.get(a), keys.get(b)));
    list.append(...rows);
    sorted = by;
  }

  // Which facets a row fails; none: it is shown.
  function fails(row, want) {
    return NAMES.filter((name) => want[name] && !values.get(row)[name].includes(want[name]));
  }

  // How many each choice would leave, the other facets being as they are.  failed: facets by row that has the words.
  function count(failed) {
    const counts = new Map();
    for (const [row, names] of failed) {
      if (names.length > 1) continue;
      const mine = values.get(row);
      for (const name of names.length ? names : NAMES) {
        for (const value of mine[name]) counts.set(`${name} ${value}`, (counts.get(`${name} ${value}`) ?? 0) + 1);
      }
    }
    for (const { name, option, label } of options) {
      const number = counts.get(`${name} ${option.value}`) ?? 0;
      const said = `${label} (${number})`;
      if (option.text !== said) option.text = said;
      option.disabled = number === 0 && !option.selected;
    }
  }

  // What comes back is laid out a screen or two per frame, so that a key press never waits for hundreds of rows.
  function show(coming) {
    cancelAnimationFrame(frame);
    for (const row of coming.splice(0, ROWS_PER_FRAME)) row.hidden = false;
    if (coming.length) frame = requestAnimationFrame(() => show(coming));
  }

  function apply(remember) {
    const want = valuesOf(form, FIELDS);
    const words = fold(want.q).split(/\s+/).filter(Boolean);
    const failed = new Map();
    const coming = [];
    sort(want.sort);
    let visible = 0;
    for (const row of rows) {
      const has = words.every((word) => text.get(row).includes(word));
      const names = has ? fails(row, want) : null;
      if (has) failed.set(row, names);
      const fits = has && names.length === 0;
      if (!fits) row.hidden = true;
      else if (row.hidden) coming.push(row);
      visible += fits ? 1 : 0;
    }
    show(coming);
    count(failed);
    const filtered = Object.keys(FIELDS).some((name) => name !== "sort" && want[name]);
    const set = NAMES.filter((name) => want[name]).length;
    facets.textContent = set ? `Topic, year and more (${set} set)` : "Topic, year and more";
    shown.textContent = filtered ? `${visible} of ${plural(rows.length, "paper")}` : plural(rows.length, "paper");
    empty.hidden = visible > 0;
    table.hidden = visible === 0;
    resets[0].hidden = !filtered;
    if (cursor?.hidden) point(null);
    if (remember) toAddress({ ...want, view: view === "cards" ? view : "" });
  }

  function look(as) {
    view = as;
    table.dataset.view = view;
    for (const button of views.children) button.setAttribute("aria-pressed", button.dataset.viewTo === view);
  }

  function point(row) {
    cursor?.classList.remove("is-current");
    cursor = row;
    row?.classList.add("is-current");
  }

  function step(by) {
    const visible = [...list.children].filter((row) => !row.hidden);
    if (visible.length === 0) return;
    const at = visible.indexOf(cursor);
    point(visible[at < 0 ? 0 : Math.min(Math.max(at + by, 0), visible.length - 1)]);
    cursor.querySelector(".row-title").focus({ preventScroll: true });
    cursor.scrollIntoView({ block: "nearest" });
  }

  function reset() {
    for (const name of Object.keys(FIELDS)) if (name !== "sort" && form.elements[name]) form.elements[name].value = "";
    apply(true);
    form.elements.q.focus();
  }

  function turn(as) {
    look(as);
    apply(true);
  }

  onKey("/", "filter by words", () => form.elements.q.focus());
  onKey("j", "next paper", () => step(1));
  onKey("k", "paper before", () => step(-1));
  onKey("x", "mark as read, or not", () => cursor && marks.toggle(cursor.dataset.id));
  onKey("v", "table or cards", () => turn(view === "cards" ? "table" : "cards"));
  form.elements.q.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    form.elements.q.value = "";
    apply(true);
    form.elements.q.blur();
  });
  for (const control of form.elements) control.addEventListener("input", () => apply(true));
  facets.addEventListener("click", () => {
    const open = document.getElementById("facets").classList.toggle("is-open");
    facets.setAttribute("aria-expanded", open);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  resets.forEach((button) => button.addEventListener("click", reset));
  for (const button of views.children) button.addEventListener("click", () => turn(button.dataset.viewTo));
  list.addEventListener("focusin", (event) => point(event.target.closest(".paper-row")));
  function readMarks() {
    for (const row of rows) values.get(row).status = [marks.state(row.dataset.id)];
  }

  readMarks();
  marks.onChange(() => {
    readMarks();
    apply(false);
  });
  form.hidden = false;
  document.querySelector("[data-sort]").hidden = false;
  views.hidden = false;
  fromAddress(form, FIELDS);
  look(view);
  apply(false);

  // Where the reader was: the browser restores it before the filter has cut the list, so it is done again here.
  history.scrollRestoration = "manual";
  if (history.state?.top) scrollTo({ top: history.state.top, behavior: "instant" });
  addEventListener("pagehide", () => history.replaceState({ ...history.state, top: scrollY }, ""));

  // Authors in full, summaries and venues are fetched when somebody looks for words.
  async function readMore() {
    const answer = await fetch(new URL("data/papers.json", base));
    const byId = new Map((answer.ok ? (await answer.json()).papers : []).map((paper) => [paper.id, paper]));
    for (const row of rows) {
      const paper = byId.get(row.dataset.id);
      if (!paper) continue;
      const more = [...(paper.authors ?? []), paper.summary ?? "", paper.arxiv ?? "", paper.id, paper.venue ?? ""];
      text.set(row, `${text.get(row)} ${fold(more.join(" "))}`);
    }
    if (form.elements.q.value) apply(false);
  }
  if (form.elements.q.value) readMore();
  else form.elements.q.addEventListener("focus", readMore, { once: true });
}
