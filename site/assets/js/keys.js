// The keys of a page, and the card that lists them.
import { isFree, make } from "./dom.js";

const known = new Map([["?", { says: "this card", run: showHelp }]]);
let card = null;

export function onKey(key, says, run) {
  known.set(key, { says, run });
}

function showHelp() {
  if (!card) {
    const close = make("button", { type: "button", autofocus: true }, "Close");
    const list = make("dl", {}, ...[...known].flatMap(([key, { says }]) => [
      make("dt", {}, make("kbd", {}, key)),
      make("dd", {}, says),
    ]));
    card = make("dialog", { class: "kb-dialog keys-card", "aria-labelledby": "keys-title" },
      make("h2", { id: "keys-title" }, "Keys"), list, close);
    close.addEventListener("click", () => card.close());
    document.body.append(card);
  }
  card.showModal();
}

export function startKeys() {
  for (const button of document.querySelectorAll("[data-help]")) {
    button.hidden = false;
    button.addEventListener("click", showHelp);
  }
  addEventListener("keydown", (event) => {
    if (!isFree(event) || !known.has(event.key)) return;
    event.preventDefault();
    known.get(event.key).run();
  });
}
