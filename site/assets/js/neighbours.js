// A paper's neighbours, one step wide, become two steps wide in place.  The wider picture is a file that is also a page.
export function startNeighbours(marks) {
  const link = document.querySelector("[data-wider]");
  link.addEventListener("click", async (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const answer = await fetch(link.href);
    if (!answer.ok) return location.assign(link.href);
    const parsed = new DOMParser().parseFromString(await answer.text(), "image/svg+xml");
    const wide = document.importNode(parsed.documentElement, true);
    wide.querySelector("style").remove();
    const narrow = document.querySelector(".chart-box .chart");
    for (const name of ["class", "role", "aria-label"]) wide.setAttribute(name, narrow.getAttribute(name));
    // Its links are written for where the file lies.
    for (const node of wide.querySelectorAll("a")) node.setAttribute("href", new URL(node.getAttribute("href"), link.href).href);
    narrow.replaceWith(wide);
    link.remove();
    marks.show();
    wide.parentElement.focus({ preventScroll: true });
  });
}
