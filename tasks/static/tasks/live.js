/* Keeps parts of a page up to date, and says so when it can't. Page owners only add attributes:

   <div id="state" data-live="3000">…</div>
       Is fetched again every 3 seconds and changed node by node: focus, selection, ticks, typed
       text, open folds and scroll stay. It needs an id, by which it is found in the answer.
       Once the answer says data-live="0" it isn't fetched any more.
   data-live-url="…"     Where this part is fetched from, if not from the page's own address. The
                         answer is a page or a fragment that has an element with the same id. Parts
                         with the same address share one request, at the shortest of their
                         intervals. Each request has the header `X-Live: 1`.
   data-live-patience="…"
                         For how many milliseconds the server may be silent before that looks like
                         an outage, where an answer takes long; else it is 5 seconds.
   data-live-reload      When this part ends (data-live="0"), the whole page is loaded again.
   data-live-rows        On a list, table or tbody in a part: rows whose ids are new wait behind a
                         button, “3 new”, so that nothing moves under the pointer; until then the
                         last ones stay for which there is no place any more. Rows need ids. One
                         with a tick always stays.
   data-live-keep        This element is left to another script (a chart, for example).

   After a part has changed it gets the event `sl:updated` (it bubbles). Nothing is fetched while
   the page is hidden; when it is shown again, everything is, at once.

   `admin/tasks/offline.html`, which the base templates include, is shown after 5 seconds without
   an answer, or as many as a part has patience for. It says since when, and how old the values
   are; the parts are dimmed (`sl-stale`) and forms aren't sent. `.sl-live` elements with
   data-live-age say how old the values are while all is well. Only the verdict (in `sl_health`) is
   announced to screen readers. */
"use strict";
{
  const PATIENCE_MS = 5_000;
  const RETRY_MS = 5_000;
  const GIVE_UP_MS = 15_000;
  const TICK_MS = 1_000;
  const language = document.documentElement.lang || "en";
  const sources = new Map();
  let pageFreshAt = Date.now();
  let isOffline = false;

  const parts = () => [...document.querySelectorAll("[data-live]")].filter((part) => part.id);
  const intervalOf = (part) => Number(part.dataset.live);
  const patienceOf = (part) => Number(part.dataset.livePatience ?? PATIENCE_MS);
  const addressOf = (part) => new URL(part.dataset.liveUrl ?? "", window.location.href).href;

  // What people do on the page stays theirs.

  const isSelected = (node) => {
    const selection = window.getSelection();
    return selection && !selection.isCollapsed && selection.containsNode(node, true);
  };
  const isTheirs = (node) => node.matches?.("input:not([type=hidden]), textarea, select, [data-live-keep]");
  const isInUse = (node) => node.contains(document.activeElement) || isSelected(node);

  const careful = {
    // What is equal has nothing to change, and is most of a long log or list.
    beforeNodeMorphed: (node, fresh) =>
      !(node.isEqualNode(fresh) || isTheirs(node) || (node.nodeType === Node.TEXT_NODE && isSelected(node))),
    beforeNodeRemoved: (node) => !isInUse(node),
    beforeAttributeUpdated: (name, node) => !(name === "open" && node.tagName === "DETAILS"),
  };

  // New rows wait behind a button. `wanted` has the lists whose button has been pressed.

  const wanted = new Set();
  const holdNewRows = (part, fresh) => {
    part.querySelectorAll("[data-live-rows]").forEach((list) => {
      const twin = list.id ? fresh.querySelector(`#${CSS.escape(list.id)}`) : null;
      if (!twin || !list.querySelector(":scope > [id]")) return;
      const known = new Set([...list.children].map((row) => row.id));
      const rows = [...twin.children].filter((row) => row.id);
      const firstKnown = rows.findIndex((row) => known.has(row.id));
      const isWanted = wanted.delete(list.id);
      const waiting = isWanted ? [] : firstKnown < 0 ? rows : rows.slice(0, firstKnown);
      waiting.forEach((row) => row.remove());
      keepRows(list, twin, new Set(rows.map((row) => row.id)), waiting.length);
      offerRows(list, waiting.length);
    });
  };

  const keepRows = (list, twin, present, pushedOut) => {
    const rows = [...list.children];
    rows.forEach((row, at) => {
      const isLast = at >= rows.length - pushedOut;
      if (present.has(row.id) || !(isLast || row.querySelector("input:checked"))) return;
      const before = rows.slice(0, at).reverse().find((one) => twin.querySelector(`:scope > #${CSS.escape(one.id)}`));
      const kept = row.cloneNode(true);
      if (before) twin.querySelector(`:scope > #${CSS.escape(before.id)}`).after(kept);
      else twin.append(kept);
    });
  };

  const offerRows = (list, count) => {
    const button = document.querySelector(`[data-live-new="${CSS.escape(list.id)}"]`);
    if (!button) return;
    button.hidden = !count;
    button.querySelector("[data-live-count]").textContent = count;
    button.onclick = () => {
      wanted.add(list.id);
      refresh(addressOf(list.closest("[data-live]")));
    };
  };

  // Fetching

  const replace = (part, fresh) => {
    holdNewRows(part, fresh);
    Idiomorph.morph(part, fresh, { morphStyle: "outerHTML", callbacks: careful });
    part.dispatchEvent(new CustomEvent("sl:updated", { bubbles: true }));
  };

  const update = (address, page) => {
    for (const part of parts().filter((part) => addressOf(part) === address)) {
      const fresh = page.getElementById(part.id);
      if (!fresh) continue;
      if (intervalOf(fresh) === 0 && "liveReload" in part.dataset) window.location.reload();
      else replace(part, fresh);
    }
  };

  const refresh = async (address) => {
    const source = sources.get(address);
    if (source.isAsking) return;
    source.isAsking = true;
    source.askedAt = Date.now();
    source.waitingSince ??= Date.now();
    try {
      const response = await fetch(address, {
        headers: { "X-Live": "1" },
        signal: AbortSignal.timeout(Math.max(GIVE_UP_MS, source.patience)),
      });
      if (!response.ok && response.status >= 500) throw new Error(response.statusText);
      if (!response.ok || (response.redirected && response.url !== address)) return lock();
      update(address, new DOMParser().parseFromString(await response.text(), "text/html"));
      source.freshAt = Date.now();
      source.waitingSince = null;
    } catch (error) {
      console.warn(`${address} can't be read: ${error}`);
    } finally {
      source.isAsking = false;
    }
  };

  const plan = () => {
    const intervals = new Map();
    const patience = new Map();
    for (const part of parts()) {
      const interval = intervalOf(part);
      if (!interval) continue;
      const address = addressOf(part);
      intervals.set(address, Math.min(interval, intervals.get(address) ?? Infinity));
      patience.set(address, Math.max(patienceOf(part), patience.get(address) ?? 0));
    }
    for (const [address, interval] of intervals) {
      if (!sources.has(address)) sources.set(address, { freshAt: pageFreshAt, askedAt: pageFreshAt, waitingSince: null });
      const source = sources.get(address);
      source.patience = patience.get(address);
      const wait = source.waitingSince === null ? interval : Math.max(interval, RETRY_MS);
      if (Date.now() - source.askedAt >= wait) refresh(address);
    }
    for (const address of [...sources.keys()]) if (!intervals.has(address)) sources.delete(address);
  };

  // Saying how old the values are

  const age = (ms) => {
    const seconds = Math.max(0, Math.round(ms / 1000));
    const [value, unit] = seconds < 60 ? [seconds, "second"] : seconds < 3600 ? [Math.round(seconds / 60), "minute"] : [Math.round(seconds / 3600), "hour"];
    return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short" }).format(value);
  };
  const clock = (at) => {
    const zone = document.querySelector("[data-zone]")?.dataset.zone;
    return new Date(at).toLocaleTimeString("en-GB", { timeZone: zone });
  };
  const setText = (element, text) => {
    if (element && element.textContent !== text) element.textContent = text;
  };

  const report = () => {
    const all = [...sources.values()];
    const silent = all.filter((source) => source.waitingSince !== null && Date.now() - source.waitingSince >= source.patience);
    const since = Math.min(...silent.map((source) => source.waitingSince));
    const freshAt = Math.min(...all.map((source) => source.freshAt), Infinity);
    isOffline = silent.length > 0;
    const notice = document.getElementById("sl-offline");
    if (notice) {
      notice.hidden = !isOffline;
      if (isOffline) {
        setText(notice.querySelector("[data-live-since]"), clock(since));
        setText(notice.querySelector("[data-live-age]"), age(Date.now() - freshAt));
      } else notice.querySelector(".unsent").hidden = true;
    }
    parts().forEach((part) => part.classList.toggle("sl-stale", isOffline && intervalOf(part) > 0));
    // The health line alone doesn't make a page live.
    const isLive = parts().some((part) => part.id !== "sl-health" && intervalOf(part) > 0);
    document.querySelectorAll(".sl-live").forEach((sign) => {
      sign.hidden = !isLive;
      sign.classList.toggle("is-off", isOffline);
      if (all.length) setText(sign.querySelector("[data-live-age]"), age(Date.now() - freshAt));
    });
  };

  // Somebody else, or nobody, is logged in by now: the page can't be read any more.
  const lock = () => {
    window.clearInterval(timer);
    document.getElementById("sl-locked")?.removeAttribute("hidden");
    parts().forEach((part) => part.classList.add("sl-stale"));
  };

  const tick = () => {
    if (document.hidden) return;
    plan();
    report();
  };
  let timer = 0;
  const start = () => {
    pageFreshAt = Date.now();
    timer = window.setInterval(tick, TICK_MS);
    document.querySelector("#sl-offline [data-live-retry]")?.addEventListener("click", () => {
      [...sources.keys()].forEach(refresh);
    });
    tick();
  };

  document.addEventListener("DOMContentLoaded", start);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    // What was asked before the page was hidden says nothing about the server now.
    for (const source of sources.values()) if (!source.isAsking) source.waitingSince = null;
    [...sources.keys()].forEach(refresh);
  });
  document.addEventListener("submit", (event) => {
    const method = event.target.getAttribute("method") ?? "get";
    if (!isOffline || method.toLowerCase() === "get") return;
    event.preventDefault();
    const notice = document.getElementById("sl-offline");
    notice.querySelector(".unsent").hidden = false;
    notice.scrollIntoView({ block: "center" });
  });
}
