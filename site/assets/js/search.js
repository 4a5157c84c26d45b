// The doors to the search: what is behind them is fetched when somebody first opens one.
import { composing, say } from "./dom.js";
import { onKey } from "./keys.js";

export function startSearch(base) {
  const button = document.querySelector("[data-search]");

  async function begin() {
    const hits = await import("./hits.js").catch(() => null);
    if (hits) hits.search(base);
    else say("The search could not be fetched. Load the page again.");
  }

  button.hidden = false;
  button.addEventListener("click", begin);
  onKey("s", "search everything", begin);
  if (!document.querySelector("input[name=q]")) onKey("/", "search everything", begin);
  addEventListener("keydown", (event) => {
    if (event.key !== "k" || !(event.ctrlKey || event.metaKey) || composing(event)) return;
    event.preventDefault();
    begin();
  });
}
