// Shows and changes progress marks wherever a page has them.
import { STATES, commands, count, nextIds, stateOf, whyNext } from "./progress.js";
import { copyText, make, say } from "./dom.js";
import { onKey } from "./keys.js";

const SIGNS = { unread: "○", reading: "…", read: "✓", skipped: "–" };
const ENOUGH = 5; // marks after which losing them would hurt
const TICK = { unread: "read", reading: "read", read: "unread", skipped: "unread" };

export class Marks {
  constructor(store, papers, base) {
    Object.assign(this, { store, papers, base, order: Object.keys(papers), listeners: [] });
  }

  state(id) {
    return stateOf(id, this.store.marks, this.papers);
  }

  count(ids = this.order) {
    return count(ids, this.store.marks, this.papers);
  }

  onChange(listener) {
    this.listeners.push(listener);
  }

  start() {
    document.querySelectorAll("[data-mark]").forEach((place) => this.makeMark(place));
    document.querySelectorAll("[data-states]").forEach((place) => this.makeStates(place));
    this.startTools();
    addEventListener("storage", (event) => {
      if (event.key === this.store.key) {
        this.store.load();
        this.show();
      }
    });
    this.show();
  }

  set(id, state) {
    this.store.set(id, state);
    if (Object.keys(this.store.marks).length === ENOUGH) navigator.storage?.persist?.();
    this.show();
    const { read, total } = this.count();
    const kept = this.store.persistent ? "" : " This browser refuses storage: the mark lasts until you leave.";
    say(`${this.papers[id].name}: ${state}. ${read} of ${total} read.${kept}`);
  }

  toggle(id) {
    this.set(id, TICK[this.state(id)]);
  }

  makeMark(place) {
    const id = place.dataset.mark;
    if (!this.papers[id]) return;
    const button = make("button", { type: "button", class: "mark", "data-mark": id });
    button.append(make("span", { class: "vh" }));
    button.addEventListener("click", (event) => {
      event.preventDefault();
      this.toggle(id);
    });
    place.replaceWith(button);
  }

  makeStates(place) {
    const id = place.dataset.states;
    if (!this.papers[id]) return;
    place.replaceChildren(
      ...STATES.map((state) => {
        const button = make("button", { type: "button", class: "state", "data-state": state }, state);
        button.addEventListener("click", () => this.set(id, state));
        return button;
      }),
    );
    onKey("x", "mark as read, or not", () => this.toggle(id));
    for (const [key, says, which] of [["j", "next in the order", "next"], ["k", "before in the order", "prev"]]) {
      const link = document.querySelector(`.turn [rel=${which}]`);
      if (link) onKey(key, says, () => link.click());
    }
  }

  show() {
    document.querySelectorAll("button[data-mark]").forEach((mark) => this.paint(mark));
    for (const group of document.querySelectorAll("[data-states]")) {
      for (const button of group.querySelectorAll("button")) {
        const on = button.dataset.state === this.state(group.dataset.states);
        button.classList.toggle("is-on", on);
        button.setAttribute("aria-pressed", on);
      }
    }
    for (const node of document.querySelectorAll("a[data-node]")) {
      const state = this.state(node.dataset.node);
      STATES.forEach((one) => node.classList.toggle(one, one === state));
      node.querySelector("text").textContent = SIGNS[state];
    }
    for (const place of document.querySelectorAll("[data-path]")) this.showPath(place);
    for (const place of document.querySelectorAll("[data-path-left]")) {
      const { total, left } = this.count(place.dataset.pathLeft.split(" "));
      place.textContent = left === 0 ? "You have read all of them." : `You have ${left} of ${total} left.`;
    }
    this.showTotals();
    this.showNext();
    this.listeners.forEach((listener) => listener());
  }

  paint(mark) {
    const id = mark.dataset.mark;
    const { name } = this.papers[id];
    const state = this.state(id);
    mark.dataset.state = state;
    mark.title = `${name}: ${state}`;
    mark.firstElementChild.textContent = `${name}: ${state}. Mark as ${TICK[state]}`;
  }

  showPath(place) {
    const { total, read, left } = this.count(place.dataset.path.split(" "));
    const text = place.querySelector("[data-path-count]");
    const bar = place.querySelector("[data-bar]");
    if (bar) bar.style.width = total ? `${(100 * read) / total}%` : "0";
    if (!text) return;
    const phrase = total === 0 ? "" : left === 0 ? "done" : `${read} of ${total} read`;
    text.textContent = place.classList.contains("topic") && phrase ? ` · ${phrase}` : phrase;
  }

  showTotals() {
    const { total, read } = this.count();
    for (const pill of document.querySelectorAll("[data-pill]")) {
      pill.hidden = false;
      pill.textContent = `${read} of ${total} read`;
    }
    for (const card of document.querySelectorAll("[data-progress]")) {
      card.querySelector("[data-count]").textContent = `${read} of ${total}`;
      card.querySelector("[data-bar]").style.width = total ? `${(100 * read) / total}%` : "0";
      const strangers = Object.keys(this.store.marks).filter((id) => !this.papers[id]);
      card.querySelector("[data-progress-note]").textContent = [
        this.store.persistent ? "Kept in this browser only." : "This browser refuses storage: marks last until you leave. Export keeps them.",
        strangers.length ? `Marks kept for papers no longer listed, and not counted: ${strangers.join(", ")}.` : "",
        Object.keys(this.store.marks).length >= ENOUGH ? "A browser may forget: export them now and then." : "",
      ].join(" ").trim();
      card.querySelector("[data-undo]").hidden = this.store.before === null;
    }
  }

  showNext() {
    const list = document.querySelector("[data-next]");
    if (!list) return;
    const ids = nextIds(this.order, this.store.marks, this.papers, 3);
    const shown = [...list.children].map((card) => card.dataset.id).join(" ");
    if (shown === ids.join(" ")) return;
    if (ids.length === 0) {
      list.replaceChildren(make("li", { class: "card" }, "All read. There is nothing left to recommend."));
      return;
    }
    list.replaceChildren(...ids.map((id) => this.nextCard(id)));
    list.querySelectorAll("[data-mark]").forEach((place) => this.makeMark(place));
    list.querySelectorAll("button[data-mark]").forEach((mark) => this.paint(mark));
  }

  nextCard(id) {
    const paper = this.papers[id];
    const why = whyNext(id, this.order, this.store.marks, this.papers);
    const top = make("div", { class: "card-top" },
      make("span", { "data-mark": id }),
      make("span", { class: "fine" }, String(paper.year ?? "")));
    if (paper.wr) {
      top.append(make("span", { class: `wr wr-${paper.wr}`, title: `Worth reading ${paper.wr} of 3` },
        make("i"), make("i"), make("i"), make("span", { class: "vh" }, `worth reading ${paper.wr} of 3`)));
    }
    return make("li", { class: "card", "data-id": id }, top,
      make("h3", {}, make("a", { href: new URL(`papers/${id}/`, this.base).href }, paper.title)),
      make("p", {}, paper.why),
      make("p", { class: "fine" }, why));
  }

  startTools() {
    const tools = document.querySelector("[data-tools]");
    if (!tools) return;
    tools.hidden = false;
    const card = tools.closest("[data-progress]");
    const file = card.querySelector("[data-file]");
    card.querySelector("[data-export]").addEventListener("click", () => {
      const url = URL.createObjectURL(new Blob([this.store.exported()], { type: "application/json" }));
      make("a", { href: url, download: "kb-progress.json" }).click();
      setTimeout(() => URL.revokeObjectURL(url), 1000);
      say(`${Object.keys(this.store.marks).length} marks exported`);
    });
    card.querySelector("[data-import]").addEventListener("click", () => file.click());
    file.addEventListener("change", async () => {
      if (!file.files.length) return;
      try {
        const { changed, refused } = this.store.imported(await file.files[0].text(), this.papers);
        this.show();
        say(`${changed} mark${changed === 1 ? "" : "s"} changed${refused ? `, ${refused} not understood` : ""}`);
      } catch (error) {
        say(error.message);
      }
      file.value = "";
    });
    const copy = card.querySelector("[data-copy-marks]");
    copy.addEventListener("click", () => {
      const text = commands(this.store.marks);
      if (text) copyText(`${text}\n`, copy);
      else say("Nothing is marked yet");
    });
    card.querySelector("[data-undo]").addEventListener("click", () => {
      if (this.store.undo()) {
        this.show();
        say("Undone");
      }
    });
  }
}
