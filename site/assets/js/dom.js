// Elements from data, without ever reading HTML from a string.

export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

export function fold(text) {
  return text.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
}

export function plural(number, word) {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}

// Whether a key press belongs to an input method, which may be in the middle of a word.
export function composing(event) {
  return event.isComposing || event.keyCode === 229;
}

// Whether a key press belongs to the page, and not to a field, a dialog or the browser.  A dialog that was closed has
// the focus for a moment longer.
export function isFree(event) {
  if (composing(event) || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return false;
  if (event.target.closest?.("dialog:not([open])")) return true;
  return !event.target.closest?.("input, select, textarea, dialog");
}

// Fields of a form in the address, so that a view can be kept and sent; empty ones are left out.
export function toAddress(values) {
  const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value));
  history.replaceState(history.state, "", (query.size ? `?${query}` : location.pathname) + location.hash);
}

export function fromAddress(form, fields) {
  const query = new URLSearchParams(location.search);
  for (const [name, fallback] of Object.entries(fields)) {
    const control = form.elements[name];
    if (!control) continue; // a collection without code has no such filter
    if (control.type === "checkbox") control.checked = query.get(name) === "1";
    else {
      control.value = query.get(name) ?? fallback;
      if (control.tagName === "SELECT" && control.selectedIndex < 0) control.value = fallback;
    }
  }
}

export function valuesOf(form, fields) {
  const data = new FormData(form);
  return Object.fromEntries(Object.keys(fields).map((name) => [name, String(data.get(name) ?? "").trim()]));
}

// Says something to a screen reader, and shows it for a moment.  The region stands in the page from the start: one that
// is made together with its first words is not read by all.
export function say(text) {
  const region = document.querySelector("[data-say]");
  region.textContent = text;
  region.classList.add("is-shown");
  clearTimeout(say.timer);
  say.timer = setTimeout(() => region.classList.remove("is-shown"), 2600);
}

// A question with two answers; Escape is the one that changes nothing.
export function ask(question, details, yes, no) {
  const buttons = [yes, no].map((words) => make("button", { value: words }, words));
  const dialog = make("dialog", { class: "kb-dialog ask-card", "aria-labelledby": "ask-title" },
    make("h2", { id: "ask-title" }, question), ...details.map((line) => make("p", {}, line)),
    make("form", { method: "dialog", class: "answers" }, ...buttons));
  document.body.append(dialog);
  dialog.showModal();
  buttons[1].focus();
  return new Promise((answer) => {
    dialog.addEventListener("close", () => {
      answer(dialog.returnValue === yes);
      dialog.remove();
    });
  });
}

// Copies, or where the browser refuses selects `node` so that the reader can.
export async function copyText(text, node, done) {
  try {
    await navigator.clipboard.writeText(text);
    say("Copied");
    done?.();
  } catch {
    const range = document.createRange();
    range.selectNodeContents(node);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    say("Selected: press Ctrl C to copy");
  }
}
