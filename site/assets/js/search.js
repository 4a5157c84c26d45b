// Search over everything.  The index is made in the browser, from a file that is fetched when somebody first searches.
import { make } from "./dom.js";
import { onKey } from "./keys.js";

const SHOWN = 12;
const LOOK = { boost: { n: 6, t: 4, a: 2 }, prefix: (term) => term.length > 1, fuzzy: (term) => (term.length > 4 ? 0.2 : false) };
const KINDS = { paper: 1.6, survey: 1.3, tutorial: 1.3, topic: 1.1 };

export function tokens(text) {
  return text.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase().split(/[^\p{L}\p{N}.]+|\.(?!\d)/u).filter(Boolean);
}

export async function open(base) {
  const [{ default: MiniSearch }, answer] = await Promise.all([
    import(new URL("assets/vendor/minisearch.js", base).href),
    fetch(new URL("data/search.json", base)),
  ]);
  const { docs } = await answer.json();
  const index = new MiniSearch({
    idField: "u", fields: ["t", "n", "a", "x"], storeFields: ["t", "n", "a", "k"], tokenize: tokens, processTerm: (term) => term,
  });
  index.addAll(docs);
  return (words) => {
    const options = { ...LOOK, boostDocument: (_id, _term, stored) => KINDS[stored.k] ?? 1 };
    const all = index.search(words, { ...options, combineWith: "AND" });
    return (all.length ? all : index.search(words, options)).slice(0, SHOWN);
  };
}

export function startSearch(base) {
  const button = document.querySelector("[data-search]");
  let dialog = null;
  let look = null;

  function build() {
    const input = make("input", {
      type: "search", role: "combobox", placeholder: "ddpm, score sde, jonathan ho…", autocomplete: "off", spellcheck: "false",
      "aria-label": "Search papers, topics, resources and code", "aria-controls": "search-hits", "aria-expanded": "false", autofocus: true,
    });
    const list = make("ul", { id: "search-hits", role: "listbox", "aria-label": "Found" });
    const count = make("p", { class: "fine", role: "status" }, "Type a name, an author, a topic, or half a title.");
    const close = make("button", { type: "button" }, "Close");
    dialog = make("dialog", { class: "kb-dialog search-card", "aria-label": "Search" },
      make("div", { class: "search-line" }, input, close), count, list);
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

    async function show() {
      const words = input.value.trim();
      look ??= open(base);
      const found = words ? (await look)(words) : [];
      if (words !== input.value.trim()) return;
      list.replaceChildren(...found.map((hit, number) => {
        const address = new URL(hit.id, base).href;
        const option = make("li", { role: "option", id: `hit-${number}`, "aria-selected": "false", "data-to": address },
          make("b", {}, hit.t), make("span", { class: "fine" }, [hit.k, hit.a].filter(Boolean).join(" · ")));
        option.addEventListener("click", () => location.assign(address));
        return option;
      }));
      input.setAttribute("aria-expanded", found.length > 0);
      count.textContent = words ? `${found.length === SHOWN ? "First " : ""}${found.length} found` : "";
      at = -1;
      pick(0);
    }

    input.addEventListener("input", show);
    input.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown") pick(at + 1);
      else if (event.key === "ArrowUp") pick(at - 1);
      else if (event.key === "Enter" && list.children[at]) location.assign(list.children[at].dataset.to);
      else if (event.key === "Escape") dialog.close(); // else the browser would only empty the field
      else return;
      event.preventDefault();
    });
    document.body.append(dialog);
  }

  function begin() {
    if (!dialog) build();
    look ??= open(base);
    dialog.showModal();
    dialog.querySelector("input").select();
  }

  button.hidden = false;
  button.addEventListener("click", begin);
  onKey("s", "search everything", begin);
  if (!document.querySelector("input[name=q]")) onKey("/", "search everything", begin);
  addEventListener("keydown", (event) => {
    if (event.key !== "k" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    begin();
  });
}
