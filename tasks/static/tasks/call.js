// The form of a call, as it is typed: the fields of the picked function, what is due next, what the
// policies would do, and rows of models by what they are called. Without this script the form works:
// a button brings the fields, a row is given by its primary key.
"use strict";
{
  const PAUSE_MS = 250;
  const LONGEST_ADDRESS = 3_000;
  const form = document.getElementById("call-form");
  const fields = form ? form.closest("form") : null;

  const fragment = async (address, options = {}) => {
    const response = await fetch(address, { credentials: "same-origin", ...options });
    if (!response.ok) throw new Error(`${response.status}`);
    return response;
  };

  const later = (work) => {
    let timer = 0;
    return (...values) => {
      window.clearTimeout(timer);
      timer = window.setTimeout(() => work(...values), PAUSE_MS);
    };
  };

  // The fields of the arguments follow the function.

  const typedArguments = () =>
    new Map([...form.querySelectorAll("#call-arguments [name]")].map((one) => [one.name, one]));

  const keepTyped = (before) => {
    for (const [name, field] of typedArguments()) {
      const known = before.get(name);
      if (!known || field.type !== known.type || field.type === "hidden") continue;
      if (field.type === "checkbox") field.checked = known.checked;
      else if (known.value !== known.defaultValue) field.value = known.value;
    }
  };

  const showArguments = async () => {
    const asked = fields.elements.function.value;
    const address = new URL(form.dataset.arguments, window.location.href);
    address.searchParams.set("function", asked);
    if (form.dataset.pk) address.searchParams.set("pk", form.dataset.pk);
    try {
      const text = await (await fragment(address)).text();
      if (fields.elements.function.value !== asked) return;
      const before = typedArguments();
      const fresh = new DOMParser().parseFromString(text, "text/html");
      document.getElementById("call-arguments").replaceWith(fresh.getElementById("call-arguments"));
      keepTyped(before);
      offerRows();
    } catch {
      // Offline: the page says so. On saving, the server shows the fields that are missing.
    }
  };

  // What is due next follows “When”, and the sentences follow the policies.

  const SENT =
    /^(face|first|interval|cron|timezone|repeat|start|end|exclude|calendar|jitter|overlap|catch_up|start_deadline|timeout|isolated|retries|retry_delay|on_disconnect|keep_runs|keep_days|function)(_|$)/;
  let asked = 0;

  const whatIsTyped = () => {
    const values = new URLSearchParams();
    for (const [name, value] of new FormData(fields)) {
      if (SENT.test(name) && typeof value === "string") values.append(name, value);
    }
    if (form.dataset.pk) values.set("pk", form.dataset.pk);
    return values;
  };

  const takeChoice = (data, isTyped) => {
    const cron = fields.elements.cron;
    if (!isTyped) {
      if (data.cron) cron.value = data.cron;
      return;
    }
    if (!data.on) return;
    fields.elements.cron_on.value = data.on;
    fields.elements.cron_at.value = data.at;
    const days = data.days.split(" ");
    for (const day of fields.querySelectorAll("[name=cron_days]")) {
      day.checked = days.includes(day.value);
    }
  };

  const showPreview = async (changed) => {
    const number = (asked += 1);
    const values = whatIsTyped();
    const isChoice = changed.startsWith("cron_");
    if (isChoice) values.set("_write", "1");
    const isLong = values.toString().length > LONGEST_ADDRESS;
    const token = fields.elements.csrfmiddlewaretoken.value;
    try {
      const response = isLong
        ? await fragment(form.dataset.preview, {
            method: "POST",
            body: values,
            headers: { "X-CSRFToken": token },
          })
        : await fragment(`${form.dataset.preview}?${values}`);
      const text = await response.text();
      if (number !== asked) return;
      const panel = document.getElementById("when-preview");
      panel.innerHTML = text;
      const data = document.getElementById("preview-data");
      for (const sentence of data.querySelectorAll("[data-conseq]")) {
        const shown = document.getElementById(`conseq-${sentence.dataset.conseq}`);
        if (shown) shown.replaceChildren(...sentence.childNodes);
      }
      document.getElementById("zone-now").textContent = data.dataset.zoneNow;
      if (isChoice || changed === "cron") takeChoice(data.dataset, !isChoice);
    } catch {
      // Offline: the page says so, and the next change asks again.
    }
  };

  // A row of a model is looked for by what it is called; what is sent is its primary key.

  const rowsFor = async (key, parameters) => {
    const address = new URL(form.dataset.choicesUrl, window.location.href);
    address.searchParams.set("function", fields.elements.function.value);
    address.searchParams.set("name", key.dataset.choices);
    for (const [name, value] of Object.entries(parameters)) address.searchParams.set(name, value);
    return (await (await fragment(address)).json()).rows;
  };

  const offer = (key) => {
    const box = document.createElement("span");
    box.className = "sl-combo";
    const search = document.createElement("input");
    const list = document.createElement("ul");
    Object.assign(search, { type: "search", id: key.id, className: "n16", autocomplete: "off" });
    search.setAttribute("role", "combobox");
    search.setAttribute("aria-expanded", "false");
    search.setAttribute("aria-autocomplete", "list");
    for (const name of ["aria-describedby", "aria-invalid"]) {
      if (key.hasAttribute(name)) search.setAttribute(name, key.getAttribute(name));
    }
    Object.assign(list, { id: `${key.id}_rows`, hidden: true });
    list.setAttribute("role", "listbox");
    search.setAttribute("aria-controls", list.id);
    search.placeholder = document.getElementById("call-texts")?.dataset.search ?? "";
    key.type = "hidden";
    key.removeAttribute("id");
    key.after(box);
    box.append(search, list);

    let active = -1;
    const options = () => [...list.children];
    const close = () => {
      list.hidden = true;
      active = -1;
      search.setAttribute("aria-expanded", "false");
      search.removeAttribute("aria-activedescendant");
    };
    const choose = (option) => {
      key.value = option.dataset.pk;
      search.value = option.textContent;
      close();
    };
    const activate = (index) => {
      const all = options();
      if (!all.length) return;
      active = (index + all.length) % all.length;
      all.forEach((one, at) => one.setAttribute("aria-selected", String(at === active)));
      search.setAttribute("aria-activedescendant", all[active].id);
      all[active].scrollIntoView({ block: "nearest" });
    };
    const show = (rows) => {
      list.replaceChildren(
        ...rows.map((row, index) => {
          const option = document.createElement("li");
          option.setAttribute("role", "option");
          option.setAttribute("aria-selected", "false");
          Object.assign(option, { id: `${list.id}_${index}`, textContent: row.label });
          option.dataset.pk = row.pk;
          return option;
        }),
      );
      active = -1;
      list.hidden = !rows.length;
      search.setAttribute("aria-expanded", String(Boolean(rows.length)));
    };
    const look = later(async () => {
      const query = search.value;
      try {
        const rows = await rowsFor(key, { q: query });
        if (search.value === query && document.activeElement === search) show(rows);
      } catch {
        close();
      }
    });
    search.addEventListener("input", (event) => {
      event.stopPropagation();
      key.value = search.value; // A primary key may be typed; anything else is refused by name.
      look();
    });
    search.addEventListener("focus", look);
    search.addEventListener("blur", () => window.setTimeout(close, PAUSE_MS));
    search.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        if (list.hidden) look();
        else activate(active + (event.key === "ArrowDown" ? 1 : -1));
        event.preventDefault();
      } else if (event.key === "Enter" && active >= 0) {
        choose(options()[active]);
        event.preventDefault();
      } else if (event.key === "Escape" && !list.hidden) {
        close();
        event.preventDefault();
      }
    });
    list.addEventListener("pointerdown", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) choose(option);
      event.preventDefault();
    });
    if (!key.value) return;
    search.value = key.value;
    rowsFor(key, { pk: key.value }).then(
      (rows) => {
        if (rows.length && search.value === key.value) search.value = rows[0].label;
      },
      () => {}, // The primary key stays.
    );
  };

  const offerRows = () => form.querySelectorAll("[data-choices]:not([type=hidden])").forEach(offer);

  if (form) {
    offerRows();
    fields.elements.function?.addEventListener("change", showArguments);
    if (form.dataset.preview) {
      const typed = later(showPreview);
      for (const kind of ["input", "change"]) {
        form.addEventListener(kind, (event) => {
          const name = event.target.name ?? "";
          if (SENT.test(name) || name.startsWith("cron_")) typed(name);
        });
      }
      // The shortcuts “Today” and “Now” of the admin's own date fields send no event.
      form.addEventListener("click", (event) => {
        if (event.target.closest(".datetimeshortcuts, .calendarbox, .clockbox")) typed("first");
      });
    }
  }
}
