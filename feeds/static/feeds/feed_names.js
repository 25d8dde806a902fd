/* Offers names of feeds in a field `feed`, while one is typed; they are listed in #feed-names. */
"use strict";
{
  const PAUSE_MS = 150;

  const offer = async (text) => {
    const list = document.getElementById("feed-names");
    const response = await fetch(`${list.dataset.url}?${new URLSearchParams({ q: text })}`);
    if (!response.ok) return;
    const { names } = await response.json();
    list.replaceChildren(...names.map((name) => Object.assign(document.createElement("option"), { value: name })));
  };

  let typing = 0;
  document.addEventListener("input", (event) => {
    if (event.target.name !== "feed") return;
    window.clearTimeout(typing);
    typing = window.setTimeout(() => offer(event.target.value).catch(() => {}), PAUSE_MS);
  });
}
