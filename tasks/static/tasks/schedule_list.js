// The list of schedules: the bar of actions appears with the first tick, and filters apply at once.
document.addEventListener("DOMContentLoaded", () => {
  const list = document.getElementById("list-form");
  const bar = document.getElementById("bulk");
  const across = list.querySelector(".select-across");
  const acrossButton = bar?.querySelector("[data-select-across]");
  const boxes = () => [...list.querySelectorAll("input.action-select")];
  const all = () => document.getElementById("action-toggle");

  const show = () => {
    if (!bar) return;
    const ticked = boxes().filter((box) => box.checked).length;
    const isWholePage = ticked > 0 && ticked === boxes().length;
    boxes().forEach((box) => box.closest("tr").classList.toggle("sel", box.checked));
    if (!isWholePage) across.value = "0";
    bar.hidden = ticked === 0;
    const isAcross = across.value === "1";
    bar.querySelector("[data-selected]").textContent = isAcross ? bar.dataset.number : ticked;
    if (acrossButton) acrossButton.hidden = !isWholePage || isAcross;
    if (all()) {
      all().checked = isWholePage;
      all().indeterminate = ticked > 0 && !isWholePage;
    }
  };

  list.addEventListener("change", (event) => {
    if (event.target.id === "action-toggle") {
      boxes().forEach((box) => {
        box.checked = event.target.checked;
      });
    }
    show();
  });
  acrossButton?.addEventListener("click", () => {
    across.value = "1";
    show();
  });
  list.addEventListener("sl:updated", show);
  window.addEventListener("pageshow", show);
  show();

  const filters = document.getElementById("filters");
  filters.classList.add("is-scripted");
  filters.addEventListener("change", (event) => {
    if (event.target.tagName === "SELECT") filters.requestSubmit();
  });
  // What isn't chosen needs no place in the address.
  filters.addEventListener("submit", () => {
    filters.querySelectorAll("select, input").forEach((field) => {
      field.disabled = !field.value;
    });
  });
});
