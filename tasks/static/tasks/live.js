// Shows how a record goes on while it runs: asks its "live" address once a second.
document.addEventListener("DOMContentLoaded", () => {
  const box = document.querySelector("[data-live]");
  if (!box || !["queued", "reserved", "running"].includes(box.dataset.status)) return;
  const log = document.querySelector("[data-live-log]");
  const look = async () => {
    try {
      const response = await fetch(box.dataset.live, { headers: { Accept: "application/json" } });
      if (!response.ok) return;
      const record = await response.json();
      if (record.status !== box.dataset.status) {
        window.location.reload();
        return;
      }
      box.querySelector("progress").value = record.progress;
      box.querySelector(".percent").textContent = `${record.progress} %`;
      box.querySelector(".message").textContent = record.message;
      if (log) log.textContent = record.log;
    } finally {
      window.setTimeout(look, 1000);
    }
  };
  look();
});
