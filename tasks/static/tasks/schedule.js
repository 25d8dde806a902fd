/* On a schedule's page: another day, or hour, is shown as soon as it is picked. */
"use strict";
document.addEventListener("change", (event) => {
  if (event.target.matches?.(".day-nav :is(input[type=date], select)") && event.target.value) event.target.form.requestSubmit();
});
