"use strict";
// A column's button sorts its table: by the number behind a cell where there is one, else by its text.
// Cells without a number in a column of numbers were not measured: they stay at the end in either direction.
// A cell's number is its key, or where it has none in a column of numbers what its text begins with.
function value(cell) {
  if (cell.dataset.key !== undefined) return Number(cell.dataset.key);
  if (!cell.isNumber) return null;
  const found = parseFloat(cell.textContent.replace(/,/g, ""));
  return Number.isNaN(found) ? null : found;
}
function compare(a, b) {
  const [x, y] = [value(a), value(b)];
  if (x !== null && y !== null) return x - y;
  return a.textContent.localeCompare(b.textContent);
}
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement, body = head.closest("table").tBodies[0];
    const descending = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const isNumber = head.classList.contains("number");
    const cell = (row) => Object.assign(row.cells[head.cellIndex], { isNumber });
    const last = (row) => isNumber && value(cell(row)) === null;
    const rows = [...body.rows].filter((row) => !last(row)).sort((a, b) => compare(cell(a), cell(b)));
    body.append(...(descending ? rows.reverse() : rows), ...[...body.rows].filter(last));
  });
}
// A command's button copies it; where the browser gives no clipboard, the command is selected instead.
for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", async () => {
    const code = button.previousElementSibling;
    let said = "Copied";
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      getSelection().selectAllChildren(code);
      said = "Selected";
    }
    button.textContent = said;
    document.getElementById("said").textContent = `${said}: ${code.textContent}`;
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}
// A long table shows all its rows when asked; printed, everything is unfolded.
for (const button of document.querySelectorAll("button.unfold")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    button.parentElement.previousElementSibling.querySelector("table").classList.add("all");
    button.parentElement.remove();
  });
}
addEventListener("beforeprint", () => {
  for (const each of document.querySelectorAll("details")) each.open = true;
});
// What the address aims at; as it stands where it is no encoded text, as of a link that was cut.
function aimed() {
  const said = location.hash.slice(1);
  try {
    return decodeURIComponent(said);
  } catch {
    return said;
  }
}
// A link to something folded unfolds what it lies in.
function reveal() {
  const aim = document.getElementById(aimed());
  for (let each = aim; each; each = each.parentElement) if (each.tagName === "DETAILS") each.open = true;
  if (aim) aim.scrollIntoView();
}
addEventListener("hashchange", reveal);
reveal();
