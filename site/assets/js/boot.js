// Runs before the page is drawn: a dark page must not flash white.  Storage that refuses is storage that is empty.
"use strict";
document.documentElement.classList.replace("no-js", "js");
const kbScheme = {
  key: `kb:${new URL(document.currentScript.dataset.base.replace(/\/?$/, "/"), location).pathname}:scheme`,
  chosen() {
    try {
      return localStorage.getItem(this.key);
    } catch {
      return null;
    }
  },
  choose(scheme) {
    try {
      localStorage.setItem(this.key, scheme);
    } catch {
      // The choice lasts as long as the page.
    }
  },
};

new MutationObserver((_, observer) => {
  if (!document.body) return;
  observer.disconnect();
  const dark = (kbScheme.chosen() ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  document.body.dataset.mdColorScheme = dark ? "slate" : "default";
}).observe(document.documentElement, { childList: true });
