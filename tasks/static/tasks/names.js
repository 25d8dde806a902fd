/* Offers names while one is typed: in a field whose datalist says by `data-url` where to get them. */
"use strict";
{
  const PAUSE_MS = 150;

  const offer = async (list, text) => {
    const response = await fetch(`${list.dataset.url}?${new URLSearchParams({ q: text })}`);
    if (!response.ok) return;
    const { names } = await response.json();
    list.replaceChildren(...names.map((name) => Object.assign(document.createElement("option"), { value: name })));
  };

  let typing = 0;
  document.addEventListener("input", (event) => {
    const { list, value } = event.target;
    if (!list?.dataset.url) return;
    window.clearTimeout(typing);
    typing = window.setTimeout(() => offer(list, value).catch(() => {}), PAUSE_MS);
  });
}
