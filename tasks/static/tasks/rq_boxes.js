// The box in the head of django-rq's lists ticks all of them; a ticked row is marked.
document.addEventListener("DOMContentLoaded", () => {
  const boxes = [...document.querySelectorAll("tr input.action-select")];
  const all = document.getElementById("action-toggle");
  const show = () => {
    boxes.forEach((box) => box.closest("tr").classList.toggle("selected", box.checked));
    if (all) all.checked = boxes.length > 0 && boxes.every((box) => box.checked);
  };
  all?.addEventListener("change", () => {
    boxes.forEach((box) => {
      box.checked = all.checked;
    });
    show();
  });
  boxes.forEach((box) => box.addEventListener("change", show));
  window.addEventListener("pageshow", show);
});
