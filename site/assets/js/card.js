// A card beside a paper in a picture, when it is pointed at or has the focus: title, year, worth, status, why.  It stays
// while the pointer is on it, and Escape closes it (WCAG 1.4.13).
import { make } from "./dom.js";

const ID = "node-card";
const WAIT = 120; // milliseconds, before it comes, so that crossing the picture opens nothing
const STAY = 250; // before it goes, so that the pointer can get onto it
const AWAY = 6; // pixels from the paper
const EDGE = 8; // from the window's edge

let started = false;

// The card's styles, once, where the page does not have them.
function styled() {
  const href = new URL("../css/leads.css", import.meta.url).href;
  if ([...document.styleSheets].some((sheet) => sheet.href === href)) return Promise.resolve();
  const link = make("link", { rel: "stylesheet", href });
  return new Promise((done) => {
    link.addEventListener("load", done);
    link.addEventListener("error", done);
    document.head.append(link);
  });
}

// first: the event that asked for cards.
export async function startCards(marks, first) {
  if (started) return;
  started = true;
  await styled();
  const card = make("div", { id: ID, class: "node-card", role: "tooltip", hidden: true });
  document.body.append(card);
  let node = null;
  let timer = 0;

  function fill(id) {
    const { title, name, year, wr, why } = marks.papers[id];
    const state = marks.state(id);
    const worth = wr ? `worth reading ${wr} of 3` : "";
    const facts = [name === title ? "" : name, year, worth].filter(Boolean).join(" · ");
    card.replaceChildren(
      make("b", {}, title),
      make("p", { class: "fine" }, facts),
      ...(why ? [make("p", {}, why)] : []),
      make("p", { class: "fine kb node-state" }, make("span", { class: "mark", "data-state": state, "aria-hidden": "true" }), state),
    );
  }

  // Under the paper, or over it where there is no room; beside a map of lines, whose next rows it would hide.
  function place() {
    const at = (node.querySelector("rect, circle") ?? node).getBoundingClientRect();
    const lines = node.closest(".leads")?.getBoundingClientRect();
    const { width, height } = card.getBoundingClientRect();
    const { clientWidth, clientHeight } = document.documentElement;
    const beside = lines && lines.right + AWAY + width + EDGE <= clientWidth;
    const under = at.bottom + AWAY + height <= clientHeight || at.top < height + AWAY;
    const left = beside ? lines.right + AWAY : Math.min(at.left, clientWidth - width - EDGE);
    const top = beside ? Math.min(at.top, Math.max(clientHeight - height - EDGE, 0)) : under ? at.bottom + AWAY : at.top - AWAY - height;
    card.style.left = `${Math.max(EDGE, left) + scrollX}px`;
    card.style.top = `${top + scrollY}px`;
  }

  function open(to) {
    clearTimeout(timer);
    if (!marks.papers[to.dataset.node]) return;
    close();
    node = to;
    // The browser's own hint would lie over the card; what it said is the name where there is no other.
    const title = node.querySelector("title");
    if (title && !node.hasAttribute("aria-label")) node.setAttribute("aria-label", title.textContent);
    title?.remove();
    fill(node.dataset.node);
    card.hidden = false;
    node.setAttribute("aria-describedby", ID);
    place();
  }

  function close() {
    clearTimeout(timer);
    card.hidden = true;
    node?.removeAttribute("aria-describedby");
    node = null;
  }

  function later(act, wait) {
    clearTimeout(timer);
    timer = setTimeout(act, wait);
  }

  const paperAt = (target) => target.closest?.("a[data-node]");
  function pointed({ target, pointerType }) {
    if (pointerType === "touch") return;
    const to = paperAt(target);
    if (to === node && to) clearTimeout(timer);
    else if (to) later(() => open(to), WAIT);
    else if (card.contains(target)) clearTimeout(timer);
    else if (!node?.contains(document.activeElement)) later(close, STAY);
  }
  function focused({ target }) {
    const to = paperAt(target);
    if (to?.matches(":focus-visible")) open(to);
    else if (node) close();
  }
  document.addEventListener("pointerover", pointed);
  document.addEventListener("focusin", focused);
  document.addEventListener("focusout", () => node && later(close, STAY));
  document.addEventListener("keydown", ({ key }) => key === "Escape" && close());
  addEventListener("scroll", () => node && place(), { capture: true, passive: true });
  addEventListener("resize", () => node && place());
  marks.onChange(() => node && fill(node.dataset.node));
  if (first.type === "focusin") focused(first);
  else pointed(first);
}
