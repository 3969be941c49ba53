"use strict";
// A list that narrows to what is typed, and links that carry the chosen card.
const MOST = 24;  // rows that a page shows of a long list before anything is typed
const find = document.getElementById("find"), rows = [...document.querySelectorAll(".entries > li")];
function narrow() {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  const matching = rows.filter((row) => words.every((word) => row.textContent.toLowerCase().includes(word)));
  const shown = new Set(words.length ? matching : matching.slice(0, MOST));
  for (const row of rows) row.hidden = !shown.has(row);
  document.getElementById("none").hidden = matching.length > 0;
  const rest = document.getElementById("rest");
  rest.hidden = matching.length === shown.size;
  rest.textContent = `${matching.length - shown.size} more: type a part of a name`;
}
find.addEventListener("input", narrow);
narrow();
const card = document.getElementById("card");
function aim() {
  for (const link of document.querySelectorAll("a[data-page]"))
    link.href = link.dataset.page + (card.value ? `#card=${encodeURIComponent(card.value)}` : "");
}
if (card) {
  card.addEventListener("input", aim);
  aim();
}
