"use strict";
// The slider: hides boxes below the score, shows objects that are missed at it, counts again.
const slider = document.getElementById("score");
const counts = JSON.parse(document.getElementById("slider-data").textContent);

function show(id, value) {
  document.getElementById(id).textContent = Number.isFinite(value) ? value.toFixed(3) : "–";
}

function applyScore() {
  const score = Number(slider.value);
  document.getElementById("score-value").textContent = score.toFixed(2);
  for (const box of document.querySelectorAll(".box")) {
    const own = Number(box.dataset.score);
    const hidden = box.classList.contains("object") ? own >= score : own < score;
    box.classList.toggle("hidden", hidden);
  }
  const step = Math.round(score / counts.top * (counts.right.length - 1));
  const right = counts.right[step], detections = right + counts.false[step];
  show("precision", right / detections);
  show("recall", right / counts.objects);
  show("f1", 2 * right / (detections + counts.objects));
}

if (slider) {
  slider.addEventListener("input", applyScore);
  applyScore();
  document.getElementById("labels").addEventListener("change", event =>
    document.body.classList.toggle("no-labels", !event.target.checked));
}

// Tables that are sorted by a click on a column's head; dashes come last.
function cellValue(row, column) {
  const text = row.cells[column].textContent.trim();
  return text === "–" ? null : Number.isNaN(Number(text)) ? text : Number(text);
}

function compare(a, b, direction) {
  if (a === null || b === null) return (a === null) - (b === null);
  return direction * (typeof a === "number" && typeof b === "number" ? a - b :
    String(a).localeCompare(String(b)));
}

function sortBy(table, head) {
  const descending = head.getAttribute("aria-sort") === "descending" ||
    (head.cellIndex === 0 && !head.hasAttribute("aria-sort"));
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", descending ? "ascending" : "descending");
  const body = table.tBodies[0], rows = [...body.rows];
  rows.sort((a, b) => compare(cellValue(a, head.cellIndex), cellValue(b, head.cellIndex),
    descending ? 1 : -1));
  body.append(...rows);
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const head of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sortBy(table, head));
  }
}

// A picture in large.
const dialog = document.getElementById("large"), stage = dialog.querySelector(".stage");
for (const button of document.querySelectorAll(".enlarge")) {
  button.addEventListener("click", () => {
    const caption = document.createElement("p");
    caption.textContent = button.closest("figure").querySelector("figcaption").textContent;
    stage.replaceChildren(button.querySelector("svg").cloneNode(true), caption);
    dialog.showModal();
  });
}
dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });
