// Keeps a page up to date: fetches it again every now and then and swaps the part named "live".
// Without news to come (data-every="0") it stops; a page that says so is then loaded anew.
document.addEventListener("DOMContentLoaded", () => {
  const isInUse = (part) => {
    const selection = window.getSelection();
    return (
      part.querySelector(":active") ||
      (!selection.isCollapsed && part.contains(selection.anchorNode))
    );
  };

  const swap = (part, news) => {
    const scrolls = [...part.querySelectorAll("pre")].map((box) => [
      box.scrollTop,
      box.scrollTop > 0 && box.scrollTop + box.clientHeight >= box.scrollHeight - 4,
    ]);
    part.replaceWith(news);
    news.querySelectorAll("pre").forEach((box, index) => {
      const [top, atEnd] = scrolls[index] ?? [0, false];
      box.scrollTop = atEnd ? box.scrollHeight : top;
    });
  };

  const look = async () => {
    const part = document.getElementById("live");
    if (document.hidden || isInUse(part)) return true;
    const response = await fetch(window.location.href, { headers: { "X-Live": "1" } });
    if (!response.ok) return response.status >= 500;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const news = page.getElementById("live");
    if (!news) return false;
    if (news.dataset.every === "0" && "reload" in part.dataset) window.location.reload();
    else if (news.innerHTML !== part.innerHTML) swap(part, news);
    return news.dataset.every !== "0";
  };

  const lookAgain = async () => {
    const wait = Number(document.getElementById("live")?.dataset.every ?? 0);
    if (!wait) return;
    await new Promise((resolve) => window.setTimeout(resolve, wait));
    const goOn = await look().catch(() => true);
    if (goOn) lookAgain();
  };
  lookAgain();
});
