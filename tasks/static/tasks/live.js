// Refreshes a page: fetches it again at an interval and replaces the part with the id "live".
// It stops at data-refresh-ms="0"; a part with data-reload then reloads the whole page.
document.addEventListener("DOMContentLoaded", () => {
  const isInUse = (part) => {
    const selection = window.getSelection();
    return (
      part.querySelector(":active") ||
      (!selection.isCollapsed && part.contains(selection.anchorNode))
    );
  };

  const replace = (part, fresh) => {
    const scrolls = [...part.querySelectorAll("pre")].map((box) => [
      box.scrollTop,
      box.scrollTop > 0 && box.scrollTop + box.clientHeight >= box.scrollHeight - 4,
    ]);
    part.replaceWith(fresh);
    fresh.querySelectorAll("pre").forEach((box, index) => {
      const [top, atEnd] = scrolls[index] ?? [0, false];
      box.scrollTop = atEnd ? box.scrollHeight : top;
    });
  };

  const refresh = async () => {
    const part = document.getElementById("live");
    if (document.hidden || isInUse(part)) return true;
    const response = await fetch(window.location.href, { headers: { "X-Live": "1" } });
    if (!response.ok) return response.status >= 500;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const fresh = page.getElementById("live");
    if (!fresh) return false;
    const isLast = fresh.dataset.refreshMs === "0";
    if (isLast && "reload" in part.dataset) window.location.reload();
    else if (fresh.innerHTML !== part.innerHTML) replace(part, fresh);
    return !isLast;
  };

  const keepRefreshing = async () => {
    const wait = Number(document.getElementById("live")?.dataset.refreshMs ?? 0);
    if (!wait) return;
    await new Promise((resolve) => window.setTimeout(resolve, wait));
    const more = await refresh().catch(() => true);
    if (more) keepRefreshing();
  };
  keepRefreshing();
});
