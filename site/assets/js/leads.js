// What leads to a paper: a choice of another one, and the status of each in what is read out of the picture.
import { make } from "./dom.js";

export function startLeads(marks, base) {
  const form = document.querySelector("[data-leads-form]");
  const { goal } = form.elements;
  const here = goal.value;
  const fold = new Intl.Collator();
  const goals = marks.order.filter((id) => marks.papers[id].needs.length);
  goals.sort((a, b) => fold.compare(marks.papers[a].name, marks.papers[b].name));
  goal.replaceChildren(...goals.map((id) => make("option", { value: id }, marks.papers[id].name)));
  goal.value = here;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    location.assign(new URL(`graph/${goal.value}/`, base));
  });
  const labels = new Map([...document.querySelectorAll(".leads a[data-node]")].map((node) => [node, node.getAttribute("aria-label")]));
  const tell = () => labels.forEach((label, node) => node.setAttribute("aria-label", `${label}; ${marks.state(node.dataset.node)}`));
  marks.onChange(tell);
  tell();
  form.hidden = false;
}
