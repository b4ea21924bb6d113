// Single keys: g and a letter goes, j and k move in a list, / searches, ? lists the keys. None fires while one types
// or while something lies on top of the page.
"use strict";

(() => {
  const sheet = document.getElementById("keys");
  const PREFIX_MS = 1500;
  const FIELDS = "input, textarea, select, [contenteditable]:not([contenteditable=false])";
  // What j and k move through: the rows of lists and tables, cards of agents, steps of a run.
  const ITEMS = "main .row, main table.rows tbody tr, main .subject, main article.card, main [data-item], main .found .hit";
  const ROW = "tr, .row, .subject, article";
  let goesUntil = 0;

  if (/Mac|iPhone|iPad/.test(navigator.platform)) {
    for (const key of document.querySelectorAll("[data-modifier]")) key.textContent = key.textContent.replace("Ctrl ", "⌘");
  }

  function isTaken(event) {
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return true;
    return Boolean(event.target.closest?.(FIELDS) || document.querySelector("dialog[open], :popover-open"));
  }

  const opener = (item) => (item.matches("a[href], summary, button") ? item : item.querySelector("a[href], summary, button"));

  function move(step) {
    const all = [...document.querySelectorAll(ITEMS)].map(opener);
    const openers = [...new Set(all)].filter((each) => each && each.getClientRects().length);
    if (!openers.length) return false;
    const focused = document.activeElement;
    const here = openers.findIndex((each) => each === focused || each.closest(ROW)?.contains(focused));
    const next = here < 0 ? (step > 0 ? 0 : openers.length - 1) : Math.min(Math.max(here + step, 0), openers.length - 1);
    openers[next].focus({ focusVisible: true });
    openers[next].closest(ROW)?.scrollIntoView({ block: "nearest" });
    return true;
  }

  function search() {
    const field = document.querySelector("main [data-search]") || document.getElementById("message");
    if (field) field.focus();
    else document.querySelector("[data-palette-open]")?.click();
    field?.select?.();
    return true;
  }

  function go(letter) {
    const place = document.querySelector(`[data-go="${CSS.escape(letter)}"]`);
    if (place) location.assign(place.href);
    return Boolean(place);
  }

  const showKeys = () => {
    sheet?.showModal();
    return Boolean(sheet);
  };

  document.addEventListener("keydown", (event) => {
    if (isTaken(event)) return;
    const goes = performance.now() < goesUntil;
    goesUntil = 0;
    let done = false;
    if (goes) done = go(event.key.toLowerCase());
    else if (event.key === "g") {
      goesUntil = performance.now() + PREFIX_MS;
      done = true;
    } else if (event.key === "j") done = move(1);
    else if (event.key === "k") done = move(-1);
    else if (event.key === "/") done = search();
    else if (event.key === "?") done = showKeys();
    if (done) event.preventDefault();
  });
  document.addEventListener("logos:keys", showKeys);
  sheet?.addEventListener("click", (event) => {
    if (event.target === sheet || event.target.closest("[data-close]")) sheet.close();
  });
})();
