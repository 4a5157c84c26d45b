// A copy button on each block of code.
import { copyText, make } from "./dom.js";

export function addCopyButtons() {
  for (const block of document.querySelectorAll(".code[data-code]")) {
    const code = block.querySelector("code");
    const button = make("button", { type: "button", class: "copy" }, "Copy");
    button.addEventListener("click", () => {
      copyText(`${code.textContent.trimEnd()}\n`, code, () => {
        button.textContent = "Copied";
        setTimeout(() => (button.textContent = "Copy"), 1600);
      });
    });
    block.querySelector(".code-bar").append(button);
  }
}
