/* On a schedule's page: another day is shown as soon as it is picked. */
"use strict";
document.addEventListener("change", (event) => {
  if (event.target.matches?.(".day-nav input[type=date]") && event.target.value) event.target.form.requestSubmit();
});
