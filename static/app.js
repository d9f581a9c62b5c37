// Curfew's one script. Every page works without it; each function here makes one thing easier.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  newRequest();
});

// ---- the form that asks for access ----

function newRequest() {
  const form = document.getElementById("new-request");
  if (!form) return;
  showTheChosenRule(form);
  offerMinutes(form);
  completeAccounts(form);
}

// Only the words of the chosen rule are shown, once there is one.
function showTheChosenRule(form) {
  const rule = form.elements.rule;
  const update = () => {
    for (const words of form.querySelectorAll("[data-rule]")) {
      words.hidden = rule.value !== "" && words.dataset.rule !== rule.value;
    }
  };
  rule.addEventListener("change", update);
  update();
}

// Buttons for the minutes that people often want, and for the most that the rule gives.
function offerMinutes(form) {
  const { rule, minutes } = form.elements;
  const most = minutes.max;
  const row = document.createElement("div");
  row.className = "presets";
  row.setAttribute("role", "group");
  row.setAttribute("aria-label", "Minutes to choose from");
  minutes.after(row);
  minutes.removeAttribute("list");
  const mark = () => {
    for (const button of row.children) button.setAttribute("aria-pressed", button.value === minutes.value);
  };
  const update = () => {
    const max = Number(rule.selectedOptions[0]?.dataset.max ?? most);
    minutes.max = max;
    row.replaceChildren(...[15, 30, 60].filter((few) => few < max).concat(max).map((many) => {
      const button = document.createElement("button");
      button.type = "button";
      button.value = many;
      button.textContent = `${many} min`;
      button.addEventListener("click", () => {
        minutes.value = many;
        mark();
      });
      return button;
    }));
    mark();
  };
  rule.addEventListener("change", update);
  minutes.addEventListener("input", mark);
  update();
}

// The account's field as a combobox (ARIA's pattern): the browser's own list neither knows the rule nor
// counts. What is posted stays a text, and the server finds out what it means.
function completeAccounts(form) {
  const MOST_SHOWN = 50;
  const { rule, account: field } = form.elements;
  const rules = [...rule.options].filter((option) => option.value).map((option) => option.value);
  const accounts = [...field.list.options].map((option) => ({
    label: option.value,
    key: option.value.toLowerCase(),
    rules: option.dataset.rules.split(" ").map((place) => rules[place]),
  }));
  const total = Number(field.dataset.total);
  const number = new Intl.NumberFormat("en");

  const list = document.createElement("ul");
  list.id = "account-list";
  list.className = "listbox";
  list.hidden = true;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Accounts");
  const status = document.createElement("p");
  status.className = "hint";
  status.setAttribute("role", "status");
  field.removeAttribute("list");
  for (const [name, value] of Object.entries({
    role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id,
  })) field.setAttribute(name, value);
  field.after(status, list);

  let active = -1;
  const isOpen = () => !list.hidden;

  const activate = (place) => {
    active = place;
    [...list.children].forEach((entry, at) => entry.setAttribute("aria-selected", at === active));
    const entry = list.children[active];
    if (entry) {
      field.setAttribute("aria-activedescendant", entry.id);
      entry.scrollIntoView({ block: "nearest" });
    } else {
      field.removeAttribute("aria-activedescendant");
    }
  };

  const close = () => {
    list.hidden = true;
    status.textContent = "";
    field.setAttribute("aria-expanded", "false");
    activate(-1);
  };

  const choose = (label) => {
    field.value = label;
    close();
  };

  const entryOf = (account, at) => {
    const entry = document.createElement("li");
    entry.id = `account-${at}`;
    entry.setAttribute("role", "option");
    const [, name, digits] = account.label.match(/^(.*) \((\d{12})\)$/s) ?? [null, "", account.label];
    const shown = document.createElement("bdi");
    shown.textContent = name;
    const id = document.createElement("span");
    id.className = "id";
    id.textContent = digits;
    entry.append(shown, " ", id);
    if (!rule.value) {
      const reached = document.createElement("small");
      reached.textContent = account.rules.join(" or ");
      entry.append(reached);
    }
    entry.addEventListener("click", () => choose(account.label));
    return entry;
  };

  const open = () => {
    const typed = field.value.trim().toLowerCase();
    const reached = accounts.filter((account) => !rule.value || account.rules.includes(rule.value));
    // What was chosen already is no search: then the whole list is there to change one's mind.
    const isChosen = reached.some((account) => account.key === typed);
    const found = isChosen ? reached : reached.filter((account) => account.key.includes(typed));
    list.replaceChildren(...found.slice(0, MOST_SHOWN).map(entryOf));
    list.hidden = found.length === 0;
    field.setAttribute("aria-expanded", String(isOpen()));
    const listed = total > accounts.length ? `${number.format(accounts.length)} of ${number.format(total)}` : number.format(reached.length);
    const shown = found.length > MOST_SHOWN ? ` The first ${MOST_SHOWN} are shown.` : "";
    const unlisted = total > accounts.length ? " Not every account is listed here; sending the form looks through all." : "";
    status.textContent = `${number.format(found.length)} of ${listed} accounts.${shown}${unlisted}`;
    activate(-1);
  };

  const move = (by) => {
    if (!isOpen()) open();
    const count = list.children.length;
    if (count > 0) activate(active < 0 ? (by > 0 ? 0 : count - 1) : (active + by + count) % count);
  };

  const keys = {
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    Escape: () => isOpen() && close(),
    Enter: () => {
      if (active < 0) return false;
      list.children[active].click();
    },
  };
  field.addEventListener("keydown", (event) => {
    if (event.isComposing || event.ctrlKey || event.metaKey) return;
    if (keys[event.key] && keys[event.key]() !== false) event.preventDefault();
  });
  field.addEventListener("input", open);
  field.addEventListener("click", () => isOpen() || open());
  field.addEventListener("blur", close);
  // A press on the list must not take the focus away before it counts.
  list.addEventListener("mousedown", (event) => event.preventDefault());
  rule.addEventListener("change", close);
}
