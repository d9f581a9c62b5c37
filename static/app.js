// Curfew's one script. Every page works without it; it only saves people reloading, counting and copying.
//
// One section a topic, each a small function that is started once the page is there. Nothing here decides
// anything: what may be seen or done is asked of the server, by reading the page again.
"use strict";

const all = (selector, root = document) => [...root.querySelectorAll(selector)];

/** Says something to screen readers, and only if it is news. */
const announce = (text) => {
  const announcer = document.getElementById("announcer");
  if (announcer && announcer.textContent !== text) announcer.textContent = text;
};

/* ---- parts: a page is read again and its parts swapped, so that nobody loses their place ---- */

/** An element without what the script writes or readers unfold: to see whether the server says anything new. */
const plain = (element) => {
  const copy = element.cloneNode(true);
  for (const place of all("[data-until], [data-live-words], [data-copy], [data-hold], noscript", copy)) {
    place.replaceChildren();
    for (const name of ["class", "hidden"]) place.removeAttribute(name);
  }
  for (const details of all("details", copy)) details.removeAttribute("open");
  return copy.outerHTML;
};

/** Somebody is typing here, has typed, or is selecting text. */
const isTouched = (part) => {
  const focused = document.activeElement;
  if (part.contains(focused) && focused.matches("input, select, textarea")) return true;
  const selection = document.getSelection();
  if (selection && !selection.isCollapsed && part.contains(selection.anchorNode)) return true;
  return all("input, textarea", part).some((field) => !field.readOnly && field.value !== field.defaultValue);
};

/** What has the focus, so that its successor can be found. */
const nameOf = (element) =>
  element.id || [element.tagName, element.getAttribute("href"), element.getAttribute("formaction"), element.textContent].join(" ");

/** Puts the fresh element in the place of the old one; focus and unfolded details stay. */
const swap = (old, fresh) => {
  fresh = document.adoptNode(fresh);
  const focused = old.contains(document.activeElement) && document.activeElement !== old ? nameOf(document.activeElement) : null;
  const open = new Set(all("details[open]", old).map((details) => nameOf(details.querySelector("summary"))));
  for (const details of all("details", fresh)) details.open = open.has(nameOf(details.querySelector("summary")));
  old.replaceWith(fresh);
  makeCopyable(fresh);
  if (focused) {
    const heir = all("a, button, summary, input, select, textarea, [tabindex]", fresh).find((element) => nameOf(element) === focused);
    heir?.focus({ preventScroll: true });
  }
};

/** Updates a list in place. What is no longer on it leaves a note behind: nothing may move under a finger. */
const swapList = (old, fresh) => {
  const rest = new Map(all(":scope > [data-key]", fresh).map((item) => [item.dataset.key, item]));
  for (const item of all(":scope > [data-key]", old)) {
    const heir = rest.get(item.dataset.key);
    rest.delete(item.dataset.key);
    if (isTouched(item) || (heir && plain(item) === plain(heir))) continue;
    if (heir) {
      swap(item, heir);
    } else if (!item.matches(".gone")) {
      const what = item.querySelector("h2, h3");
      const note = document.createElement("p");
      note.textContent = old.dataset.gone;
      item.style.minHeight = `${item.offsetHeight}px`;
      item.classList.add("gone");
      item.replaceChildren(...(what ? [what] : []), note);
    }
  }
  for (const item of rest.values()) old.append(document.adoptNode(item));
};

const swapPart = (old, fresh) => {
  const [oldList, freshList] = [old, fresh].map((part) => part.querySelector("[data-list]"));
  const isShown = oldList?.querySelector(":scope > :not(.gone)");
  if (oldList && (freshList || isShown)) {
    swapList(oldList, freshList ?? document.createElement("ul"));
  } else if (!isTouched(old) && plain(old) !== plain(fresh)) {
    swap(old, fresh);
  }
};

/** Why the page could not be read; the words say what to do. */
class NotRead extends Error {}

/** Reads the page again and swaps what changed. */
const readAgain = async () => {
  const asked = moment();
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => {
    throw new NotRead("Curfew can't be reached; trying again.");
  });
  if (new URL(answer.url).pathname === "/login") throw new NotRead("You are signed out. Reload the page to sign in.");
  if (answer.status === 404) throw new NotRead("You may not see this any more.");
  if (!answer.ok) throw new NotRead("Curfew can't answer just now; trying again.");
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const said = document.querySelector("[data-says]")?.dataset.says;
  for (const part of all("[data-part]")) {
    const fresh = page.querySelector(`[data-part="${part.dataset.part}"]`);
    if (fresh) swapPart(part, fresh);
  }
  document.title = page.title;
  setClock(asked);
  countDown();
  const says = document.querySelector("[data-says]")?.dataset.says;
  if (says && says !== said) announce(says);
};

/* ---- countdown: what is left, by the server's time, rounded down ---- */

/** Of two clocks the one that went further: nobody is promised time that passed while a machine slept. */
const moment = () => ({ steady: performance.now(), wall: Date.now() });
const since = (then) => Math.max(performance.now() - then.steady, Date.now() - then.wall);

/** The server's time, and when we asked for it: before it was told, so that it never lags behind. */
let clock = null;
const setClock = (asked) => {
  const told = Date.parse(document.querySelector("[data-now]")?.dataset.now ?? "");
  if (!Number.isNaN(told)) clock = { told, asked };
};

const inWords = (seconds) => {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
};

/** Counts down. At zero it says that the time is over, never that anything ended: that is for the server to say. */
const countDown = () => {
  if (!clock) return;
  const now = clock.told + since(clock.asked);
  for (const place of all("[data-until]")) {
    const seconds = Math.floor((Date.parse(place.dataset.until) - now) / 1000);
    if (seconds > 0) {
      place.querySelector("strong").textContent = inWords(seconds);
    } else if (!place.matches(".over")) {
      place.classList.add("over");
      place.textContent = place.dataset.over;
    }
  }
};

const startCountdown = () => {
  const navigation = performance.getEntriesByType("navigation")[0];
  const asked = navigation?.requestStart ?? 0;
  setClock({ steady: asked, wall: performance.timeOrigin + asked });
  countDown();
  setInterval(countDown, 1000);
};

/* ---- live: a request's page follows its changes; lists look every few seconds ---- */

const LOOK_EVERY = 15000;
const REOPENED_WITHIN = 5000;
/** The server says something every 15 seconds. A stream that is silent for longer is dead, whatever the browser thinks. */
const SILENT_AFTER = 40000;

/** Says in words whether the page follows the changes. */
const sayLive = (text) => {
  for (const place of all("[data-live-words]")) {
    place.textContent = text;
    place.hidden = false;
  }
};

/** Reads the page again, one at a time; a wish during a reading is another reading. */
let reading = null;
let isWished = false;
const look = async (whenRead) => {
  if (reading) {
    isWished = true;
    return;
  }
  reading = readAgain();
  try {
    await reading;
    sayLive(whenRead());
  } catch (error) {
    if (!(error instanceof NotRead)) throw error;
    sayLive(`Not live. ${error.message}`);
  } finally {
    reading = null;
  }
  if (isWished) {
    isWished = false;
    await look(whenRead);
  }
};

/** Follows one request by its stream while the page is seen, and by looking where there is no stream. */
const followRequest = () => {
  const LIVE = "Live: it changes by itself.";
  const NOT_LIVE = "Not live: looking every 15 seconds.";
  let stream = null;
  let isLive = false;
  let doubt = 0;
  let silence = 0;
  const address = () => document.querySelector("[data-live]")?.dataset.live;
  const state = () => {
    if (!address()) return "Nothing more will change here.";
    return isLive ? LIVE : NOT_LIVE;
  };
  const settle = () => {
    clearTimeout(doubt);
    doubt = 0;
  };
  const close = () => {
    settle();
    clearTimeout(silence);
    stream?.close();
    stream = null;
    isLive = false;
  };
  const read = async () => {
    await look(state);
    if (!address()) close();
  };
  const heard = () => {
    clearTimeout(silence);
    silence = setTimeout(() => {
      close();
      read().then(open);
    }, SILENT_AFTER);
  };
  const open = () => {
    if (stream || document.hidden || !address() || !window.EventSource) return;
    stream = new EventSource(address());
    stream.onopen = () => {
      settle();
      isLive = true;
      sayLive(state());
      heard();
    };
    stream.addEventListener("still", heard);
    stream.addEventListener("changed", () => {
      heard();
      read();
    });
    stream.onerror = () => {
      if (stream.readyState === EventSource.CLOSED) {
        close();
        sayLive(state());
      } else {
        // A stream lives some minutes; the browser opens the next one by itself, again and again.
        doubt ||= setTimeout(() => {
          isLive = false;
          sayLive(state());
        }, REOPENED_WITHIN);
      }
    };
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      close();
    } else if (address()) {
      read().then(open);
    }
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => { if (event.persisted && address()) read().then(open); });
  setInterval(() => {
    if (document.hidden || isLive || !address()) return;
    read().then(open);
  }, LOOK_EVERY);
  open();
};

/** Looks again every few seconds while the page is seen, unless the reader wants it to hold still. */
const followList = (seconds) => {
  let isHeld = false;
  const following = () => (isHeld ? "It holds still." : `It is read again every ${seconds} seconds.`);
  const say = () => {
    sayLive(following());
    for (const button of all("[data-hold]")) {
      button.hidden = false;
      button.textContent = isHeld ? "Follow the changes again" : "Hold it still";
    }
  };
  const read = () => { if (!document.hidden && !isHeld) look(following).then(say); };
  say();
  setInterval(read, seconds * 1000);
  document.addEventListener("visibilitychange", read);
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-hold]")) return;
    isHeld = !isHeld;
    say();
    read();
  });
};

const startLive = () => {
  const every = Number(document.querySelector("[data-every]")?.dataset.every);
  if (document.querySelector("[data-live]")) followRequest();
  else if (every > 0) followList(every);
};

/* ---- copy: buttons that are there only where they work ---- */

const copy = async (button) => {
  if (button.matches(".done")) return;
  const source = document.getElementById(button.dataset.copy);
  const label = button.cloneNode(true).childNodes;
  try {
    await navigator.clipboard.writeText(source.value ?? source.textContent);
    button.textContent = "Copied";
  } catch {
    // No clipboard without TLS: then the text is selected, for the keyboard to copy.
    document.getSelection().selectAllChildren(source);
    source.select?.();
    button.textContent = "Selected: press Ctrl+C";
  }
  announce(button.textContent);
  button.classList.add("done");
  setTimeout(() => {
    button.classList.remove("done");
    button.replaceChildren(...label);
  }, 3000);
};

const makeCopyable = (root) => {
  for (const button of all("[data-copy]", root)) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }
};

/* ---- paper: what is folded is printed all the same ---- */

const startPrint = () => {
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    for (const details of folded) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of folded) details.open = false;
  });
};

/* ---- the form that asks for access: fewer keys than the form alone needs ---- */

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

/* ---- start ---- */

document.addEventListener("DOMContentLoaded", () => {
  startCountdown();
  startLive();
  makeCopyable(document);
  newRequest();
  startPrint();
});
