/* The bars of a strip, and of another drawing (sl-roving), are one stop of the Tab key; the arrow keys, Home and End move between them. */
"use strict";
document.addEventListener("keydown", (event) => {
  const strip = event.target.closest?.(".sl-strip, .sl-roving");
  if (!strip) return;
  const bars = [...strip.querySelectorAll("a")];
  const at = bars.indexOf(event.target.closest("a"));
  const next = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: bars.length - 1 }[event.key];
  if (next === undefined || !bars[next]) return;
  event.preventDefault();
  bars[at].setAttribute("tabindex", "-1");
  bars[next].setAttribute("tabindex", "0");
  bars[next].focus();
});
