/* Takes the browser's own time zone until somebody chooses one: pages from the next one on show it. */
"use strict";
{
  const COOKIE = "schedule_ledger_zone";
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && !document.cookie.includes(`${COOKIE}=`)) {
    const secure = window.location.protocol === "https:" ? "; secure" : "";
    document.cookie = `${COOKIE}=${zone}; path=/; max-age=31536000; samesite=lax${secure}`;
  }
}
