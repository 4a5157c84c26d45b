// Rows that roll sideways: what is current in them is brought into sight.
export function startRows() {
  for (const row of document.querySelectorAll("[data-main-row]")) {
    const current = row.querySelector("[aria-current]");
    if (current) row.scrollLeft = current.offsetLeft - (row.clientWidth - current.offsetWidth) / 2;
  }
}
