// Lists of Django's own kind, narrow: each value says which column it is of, as admin.css shows it.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const list = document.querySelector("#result_list:not(.sl-t)");
  if (!list) return;
  const columns = [...list.querySelectorAll("thead th")].map((column) => column.textContent.trim());
  for (const row of list.querySelectorAll("tbody tr")) {
    [...row.cells].forEach((cell, place) => {
      if (cell.tagName !== "TD" || !columns[place]) return;
      cell.dataset.label = columns[place];
      cell.classList.toggle("is-none", cell.textContent.trim() === "–");
    });
  }
});
