// The keys of a page, the card that lists them, and the switch that turns off those of one letter: who dictates, or hits
// keys by chance, must not lose the place to them (WCAG 2.1.4).
import { isFree, make } from "./dom.js";

const known = new Map([["?", { says: "this card", run: showHelp }]]);
let card = null;
let place = "";
let on = true;

export function onKey(key, says, run) {
  known.set(key, { says, run });
}

// Whether keys of one letter act.
export function keysAct() {
  return on;
}

function turn(to) {
  on = to;
  try {
    localStorage.setItem(place, on ? "on" : "off");
  } catch {
    // The choice lasts as long as the page.
  }
}

function showHelp() {
  if (!card) {
    const close = make("button", { type: "button", autofocus: true }, "Close");
    const keys = [...known, ["Ctrl K", { says: "search everything" }]];
    const list = make("dl", {}, ...keys.flatMap(([key, { says }]) => [
      make("dt", {}, make("kbd", {}, key)),
      make("dd", {}, says),
    ]));
    const box = make("input", { type: "checkbox", checked: on });
    box.addEventListener("change", () => turn(box.checked));
    card = make("dialog", { class: "kb-dialog keys-card", "aria-labelledby": "keys-title" },
      make("h2", { id: "keys-title" }, "Keys"), list,
      make("label", { class: "check" }, box, "Keys of one letter act; arrows, Escape and Ctrl K always do"), close);
    close.addEventListener("click", () => card.close());
    document.body.append(card);
  }
  card.showModal();
}

export function startKeys(base) {
  place = `kb:${base.pathname}:keys`;
  try {
    on = localStorage.getItem(place) !== "off";
  } catch {
    on = true;
  }
  for (const button of document.querySelectorAll("[data-help]")) {
    button.hidden = false;
    button.addEventListener("click", showHelp);
  }
  addEventListener("keydown", (event) => {
    if (!on || !isFree(event) || !known.has(event.key)) return;
    event.preventDefault();
    known.get(event.key).run();
  });
}
