// Shows and changes progress marks wherever a page has them.
import { STATES, commands, count, difference, inWords, nextIds, ownersMarks, stateOf, whyNext } from "./progress.js";
import { ask, copyText, make, plural, say } from "./dom.js";
import { onKey } from "./keys.js";

const SIGNS = { unread: "○", reading: "…", read: "✓", skipped: "–" };
const ENOUGH = 5; // marks after which losing them would hurt
const LISTED = 8; // lines of a question
const TICK = { unread: "read", reading: "read", read: "unread", skipped: "unread" };

export class Marks {
  constructor(store, papers, base) {
    Object.assign(this, { store, papers, base, order: Object.keys(papers), listeners: [] });
  }

  state(id) {
    return stateOf(id, this.store.marks);
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
      if (event.key === this.store.key || event.key === null) {
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
    const kept = this.store.persistent ? "" : " This browser refuses storage: the mark lasts until you leave.";
    say(`${this.papers[id].name}: ${state}. ${inWords(this.count())}.${kept}`);
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
      const { total, left, skipped } = this.count(place.dataset.pathLeft.split(" "));
      if (left) place.textContent = `You have ${left} of ${total} left.`;
      else place.textContent = skipped ? "You are done with all of them." : "You have read all of them.";
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
    const counted = this.count(place.dataset.path.split(" "));
    const { total, left } = counted;
    const text = place.querySelector("[data-path-count]");
    this.showBar(place, counted);
    if (!text) return;
    const phrase = total === 0 ? "" : left === 0 ? "done" : inWords(counted);
    text.textContent = place.classList.contains("topic") && phrase ? ` · ${phrase}` : phrase;
  }

  // As wide as what is done; of that, what was skipped has a tone of its own.
  showBar(place, { total, read, done }) {
    const bar = place.querySelector("[data-bar]");
    if (!bar) return;
    bar.style.width = total ? `${(100 * done) / total}%` : "0";
    bar.style.setProperty("--read", done ? `${(100 * read) / done}%` : "0%");
  }

  showTotals() {
    const counted = this.count();
    const { total, done, skipped } = counted;
    for (const pill of document.querySelectorAll("[data-pill]")) {
      pill.hidden = total === 0;
      pill.textContent = `${done} of ${total} ${skipped ? "done" : "read"}`;
    }
    for (const card of document.querySelectorAll("[data-progress]")) {
      card.querySelector("[data-count]").textContent = `${done} of ${total}`;
      card.querySelector("[data-count-word]").textContent = skipped ? `papers done, ${skipped} of them skipped` : "papers read";
      this.showBar(card, counted);
      const owners = Object.keys(ownersMarks(this.store.marks, this.papers, "")).length;
      const adopt = card.querySelector("[data-adopt]");
      adopt.hidden = owners === 0;
      adopt.textContent = `Take over ${owners === 1 ? "the owner's mark" : `the owner's ${owners} marks`}`;
      const strangers = Object.keys(this.store.marks).filter((id) => !this.papers[id]);
      card.querySelector("[data-progress-note]").textContent = [
        this.store.persistent ? "Kept in this browser only." : "This browser refuses storage: marks last until you leave. Export keeps them.",
        strangers.length ? `Marks kept for papers no longer listed, and not counted: ${strangers.join(", ")}.` : "",
        Object.keys(this.store.marks).length >= ENOUGH ? "A browser may forget: export them now and then." : "",
      ].join(" ").trim();
      card.querySelector("[data-undo]").hidden = this.store.last === null;
      card.querySelector("[data-clear]").hidden = Object.keys(this.store.marks).length === 0;
    }
  }

  showNext() {
    const list = document.querySelector("[data-next]");
    if (!list) return;
    const ids = nextIds(this.order, this.store.marks, this.papers, 3);
    const shown = [...list.children].map((card) => card.dataset.id).join(" ");
    if (shown === ids.join(" ")) return;
    if (ids.length === 0) {
      list.replaceChildren(make("li", { class: "card" }, "All done. There is nothing left to recommend."));
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
        await this.take(await file.files[0].text());
      } catch (error) {
        say(error.message);
      }
      file.value = "";
    });
    card.querySelector("[data-clear]").addEventListener("click", () => this.clear());
    card.querySelector("[data-adopt]").addEventListener("click", () => {
      const taken = ownersMarks(this.store.marks, this.papers, new Date().toISOString());
      this.store.change(taken);
      this.show();
      say(`${plural(Object.keys(taken).length, "mark")} of the list's owner are yours now`);
    });
    const copy = card.querySelector("[data-copy-marks]");
    copy.addEventListener("click", () => {
      const text = commands(this.store.marks);
      if (text) copyText(`${text}\n`, copy);
      else say("Nothing is marked yet");
    });
    card.querySelector("[data-undo]").addEventListener("click", () => {
      const undone = this.store.undo();
      this.show();
      say(undone ? "Undone" : "Another tab has changed these marks since: nothing was undone");
    });
  }

  // Takes the marks of a file, once the reader has seen what they change.
  async take(text) {
    const { changes, refused } = this.store.planned(text, this.papers);
    const number = Object.keys(changes).length;
    const rest = refused ? `, ${refused} not understood` : "";
    if (number === 0) return say(`That file changes no mark${rest}`);
    const lines = Object.entries(changes).map(([id, mark]) => `${this.nameOf(id)}: ${this.state(id)} → ${mark?.s ?? "unread"}`);
    const shown = lines.length > LISTED ? [...lines.slice(0, LISTED), `and ${lines.length - LISTED} more`] : lines;
    if (!(await ask(`Change ${plural(number, "mark")}?`, shown, "Change", "Leave as they are"))) return undefined;
    this.store.change(changes);
    this.show();
    return say(`${plural(number, "mark")} changed${rest}`);
  }

  async clear() {
    const number = Object.keys(this.store.marks).length;
    const details = ["Export them first if you may want them again. Undo works until this tab is closed."];
    if (!(await ask(`Clear ${plural(number, "mark")}?`, details, "Clear", "Keep"))) return;
    this.store.change(difference(this.store.marks, {}));
    this.show();
    say("All marks cleared");
  }

  nameOf(id) {
    return this.papers[id]?.name ?? id;
  }
}
