"use strict";
// A column's button sorts its table: by the number behind a cell where there is one, else by its text.
// Cells without a number in a column of numbers were not measured: they stay at the end in either direction.
const value = (cell) => (cell.dataset.key === undefined ? null : Number(cell.dataset.key));
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
    const cell = (row) => row.cells[head.cellIndex];
    const last = (row) => head.classList.contains("number") && value(cell(row)) === null;
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
