// The reading order cut to one goal: what stands before it, in order, why, and what of that is left.
import { fromAddress, plural, toAddress, valuesOf } from "./dom.js";
import { closure, whyHere } from "./progress.js";

const FIELDS = { goal: "", left: "" };

export function startGoals(marks) {
  const form = document.querySelector("[data-goal-form]");
  const rows = [...document.querySelector("[data-list]").children];
  const said = new Map(rows.map((row) => [row, row.querySelector("[data-why]").textContent]));
  const shown = document.querySelector("[data-shown]");

  function apply(remember) {
    const { goal, left: onlyLeft } = valuesOf(form, FIELDS);
    const ids = goal ? closure(goal, marks.papers) : new Set(marks.order);
    const { total, read, skipped, left } = marks.count([...ids]);
    let place = 0;
    for (const row of rows) {
      const { id } = row.dataset;
      if (ids.has(id)) row.querySelector(".step-no").textContent = ++place;
      row.hidden = !ids.has(id) || (onlyLeft && ["read", "skipped"].includes(marks.state(id)));
      row.querySelector("[data-why]").textContent = goal && ids.has(id) ? whyHere(id, goal, ids, marks.papers) : said.get(row);
    }
    shown.textContent = goal
      ? `To understand ${marks.papers[goal].name}: these ${total}, you have read ${read}${skipped ? ` and skipped ${skipped}` : ""}`
      : `${plural(total, "paper")}, ${left} left`;
    if (remember) toAddress({ goal, left: onlyLeft });
  }

  fromAddress(form, FIELDS);
  form.addEventListener("input", () => apply(true));
  form.addEventListener("submit", (event) => event.preventDefault());
  marks.onChange(() => apply(false));
  form.hidden = false;
  apply(false);
}
