// Search over everything.  The index is made in the browser, from a file that is fetched when somebody first searches.
import { composing, make } from "./dom.js";
import { SHOWN, finder, reason } from "./find.js";

const HINT = "Type a name, an author, a topic, or half a title.";
const FAILED = "The index of the search could not be fetched. Type on, and it is tried again.";

export async function open(base) {
  const [{ default: MiniSearch }, answer] = await Promise.all([
    import(new URL("assets/vendor/minisearch.js", base).href),
    fetch(new URL("data/search.json", base)),
  ]);
  if (!answer.ok) throw new Error(`search.json: ${answer.status}`);
  return finder(MiniSearch, (await answer.json()).docs);
}

// A hit is a link, so that it opens in a new tab and its address can be copied.
function option(hit, number, base) {
  return make("a", { role: "option", id: `hit-${number}`, "aria-selected": "false", tabindex: "-1", href: new URL(hit.id, base).href },
    make("b", {}, hit.t),
    make("span", { class: "fine" }, [hit.k, hit.a].filter(Boolean).join(" · ")),
    make("span", { class: "found" }, ...reason(hit).map(([words, found]) => (found ? make("mark", {}, words) : words))));
}

let dialog = null;
let look = null;

// The index; after a failure the next call fetches again.
async function index(base) {
  look ??= open(base);
  try {
    return await look;
  } catch {
    look = null;
    return null;
  }
}

function build(base) {
  const input = make("input", {
    type: "search", role: "combobox", placeholder: "ddpm, score sde, jonathan ho…", autocomplete: "off", spellcheck: "false",
    "aria-label": "Search papers, topics, resources and code", "aria-controls": "search-hits", "aria-expanded": "false", autofocus: true,
  });
  const list = make("div", { id: "search-hits", role: "listbox", "aria-label": "Found" });
  const count = make("p", { class: "fine", role: "status" }, HINT);
  const none = make("p", { class: "fine", hidden: true }, "This list may not have it. ");
  if (document.querySelector("[data-contribute]")) {
    none.append(make("a", { href: new URL("contribute/#add-a-paper", base).href }, "How to add a paper"));
  }
  const close = make("button", { type: "button" }, "Close");
  dialog = make("dialog", { class: "kb-dialog search-card", "aria-label": "Search" },
    make("div", { class: "search-line" }, input, close), count, none, list);
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  let at = -1;

  function pick(next) {
    const hits = [...list.children];
    hits[at]?.setAttribute("aria-selected", "false");
    at = hits.length ? (next + hits.length) % hits.length : -1;
    hits[at]?.setAttribute("aria-selected", "true");
    hits[at]?.scrollIntoView({ block: "nearest" });
    if (at < 0) input.removeAttribute("aria-activedescendant");
    else input.setAttribute("aria-activedescendant", hits[at].id);
  }

  function said(hits, all) {
    if (hits.length === 0) return "0 found.";
    const number = hits.length === SHOWN ? `First ${SHOWN} found` : `${hits.length} found`;
    return all ? number : `${number}; none has all of these words.`;
  }

  async function show() {
    const words = input.value.trim();
    history.replaceState({ ...history.state, search: words }, "");
    const find = await index(base);
    if (words !== input.value.trim()) return;
    const { hits, all } = find && words ? find(words) : { hits: [], all: true };
    list.replaceChildren(...hits.map((hit, number) => option(hit, number, base)));
    input.setAttribute("aria-expanded", hits.length > 0);
    none.hidden = !find || !words || hits.length > 0;
    if (!find) count.textContent = FAILED;
    else count.textContent = words ? said(hits, all) : HINT;
    at = -1;
    pick(0);
  }

  function follow(event) {
    const { href } = list.children[at];
    if (event.ctrlKey || event.metaKey) window.open(href, "_blank", "noopener");
    else location.assign(href);
  }

  input.addEventListener("input", show);
  input.addEventListener("keydown", (event) => {
    if (composing(event)) return;
    if (event.key === "ArrowDown") pick(at + 1);
    else if (event.key === "ArrowUp") pick(at - 1);
    else if (event.key === "Enter" && list.children[at]) follow(event);
    else if (event.key === "Escape") dialog.close(); // else the browser would only empty the field
    else return;
    event.preventDefault();
  });
  document.body.append(dialog);
  // Who comes back from a hit finds the words.
  if (history.state?.search) {
    input.value = history.state.search;
    show();
  }
}

export function search(base) {
  if (!dialog) build(base);
  index(base);
  dialog.showModal();
  dialog.querySelector("input").select();
}
