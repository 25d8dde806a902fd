/* The log on the page of a run: level, search, wrapping, copying, and following its end.
   The log scrolls in a box that is laid out from its end, so it opens there, and stays there while
   lines are added, unless the reader has scrolled up. */
"use strict";
{
  const NEAR_END = 8;
  let level = "";
  let words = "";

  const panel = () => document.getElementById("run-log");
  const box = () => panel()?.querySelector(".sl-log");
  const rows = () => [...panel().querySelectorAll(".l[data-level]")];
  const isAtEnd = () => Math.abs(box().scrollTop) <= NEAR_END;

  const press = (button, on) => {
    button.classList.toggle("on", on);
    button.setAttribute("aria-pressed", String(on));
  };

  const filter = () => {
    let shown = 0;
    for (const row of rows()) {
      const matches = (!level || row.dataset.level === level) && row.textContent.toLowerCase().includes(words);
      row.hidden = !matches;
      shown += matches;
    }
    panel().querySelector("[data-log-none]").hidden = shown > 0 || rows().length === 0;
    panel().querySelectorAll("[data-log-level]").forEach((button) => press(button, button.dataset.logLevel === level));
  };

  const showFollowing = () => {
    const button = panel().querySelector("[data-log-end]");
    const atEnd = isAtEnd();
    press(button, atEnd);
    button.querySelector("[data-log-following]").hidden = !atEnd;
    button.querySelector("[data-log-away]").hidden = atEnd;
  };

  const setWrap = (on) => {
    box().classList.toggle("plain", !on);
    press(panel().querySelector("[data-log-wrap]"), on);
  };

  const copy = async (button) => {
    const lines = rows().filter((row) => !row.hidden).map((row) =>
      [...row.children].map((cell) => cell.textContent).filter(Boolean).join(" "));
    await navigator.clipboard.writeText(lines.join("\n"));
    const [before, after] = button.children;
    [before.hidden, after.hidden] = [true, false];
    window.setTimeout(() => ([before.hidden, after.hidden] = [false, true]), 2_000);
  };

  let wraps = false;
  const refresh = () => {
    if (!panel()) return;
    filter();
    setWrap(wraps);
    showFollowing();
  };

  document.addEventListener("click", (event) => {
    if (!panel()) return;
    const button = event.target.closest("button");
    if (!button || !panel().contains(button)) return;
    if ("logLevel" in button.dataset) {
      level = button.dataset.logLevel;
      filter();
    } else if ("logEnd" in button.dataset) {
      box().scrollTop = 0;
      showFollowing();
    } else if ("logWrap" in button.dataset) {
      wraps = !wraps;
      setWrap(wraps);
    } else if ("logCopy" in button.dataset) copy(button);
  });
  document.addEventListener("input", (event) => {
    if (!event.target.matches("[data-log-search]")) return;
    words = event.target.value.trim().toLowerCase();
    filter();
  });
  document.addEventListener("scroll", (event) => {
    if (event.target === box()) showFollowing();
  }, true);
  document.addEventListener("sl:updated", (event) => {
    if (event.target === panel()) refresh();
  });
  document.addEventListener("DOMContentLoaded", refresh);
}
