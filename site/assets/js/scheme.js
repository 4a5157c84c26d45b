// Light or dark: the system's choice until the reader makes one.
const body = document.body;

function show(button) {
  button.setAttribute("aria-pressed", body.dataset.mdColorScheme === "slate");
}

export function startScheme() {
  const button = document.querySelector("[data-scheme-toggle]");
  const system = matchMedia("(prefers-color-scheme: dark)");
  button.hidden = false;
  show(button);
  button.addEventListener("click", () => {
    const dark = body.dataset.mdColorScheme !== "slate";
    body.dataset.mdColorScheme = dark ? "slate" : "default";
    kbScheme.choose(dark ? "dark" : "light");
    show(button);
  });
  system.addEventListener("change", () => {
    if (kbScheme.chosen()) return;
    body.dataset.mdColorScheme = system.matches ? "slate" : "default";
    show(button);
  });
}
