/* The list of runs: the bar for those that are ticked, and filters that apply at once. */
"use strict";
{
  const boxes = () => [...document.querySelectorAll('#changelist-form tbody input[type="checkbox"]')];
  const count = () => {
    const bar = document.querySelector("[data-bulk]");
    const all = document.querySelector("[data-bulk-all]");
    if (!all) {
      bar.hidden = true;
      return;
    }
    const ticked = boxes().filter((box) => box.checked);
    bar.hidden = !ticked.length;
    bar.querySelector("[data-bulk-count]").textContent = ticked.length;
    all.checked = ticked.length > 0 && ticked.length === boxes().length;
    all.indeterminate = ticked.length > 0 && !all.checked;
    boxes().forEach((box) => box.closest("tr").classList.toggle("sel", box.checked));
  };

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-bulk-all]")) {
      boxes().forEach((box) => (box.checked = event.target.checked));
    }
    if (event.target.type === "checkbox") count();
    else if (event.target.matches(".sl-runfilters select")) event.target.form.requestSubmit();
  });
  document.addEventListener("submit", (event) => {
    // An address without what isn't chosen is shorter.
    if (event.target.id !== "run-filters") return;
    [...event.target.elements].forEach((field) => (field.disabled = field.name && !field.value));
  });
  document.addEventListener("sl:updated", count);
  window.addEventListener("pageshow", count);
}
