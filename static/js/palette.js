// The palette: Ctrl/⌘+K over pages, agents, runs, people and actions. Without it its button leads to /search/.
"use strict";

(() => {
  const dialog = document.getElementById("palette");
  if (!dialog?.showModal) return;
  const field = dialog.querySelector("[role=combobox]");
  const options = dialog.querySelector("[role=listbox]");
  const said = dialog.querySelector("[data-said]");
  const WAIT_MS = 120;
  const RECENT = 5;
  const recentName = `logos:recent:${dialog.dataset.user}`;
  let isAsked = 0;
  let timer = 0;
  let current = -1;
  // What is shown answers what is typed; who presses Enter before that means the answer that is on its way.
  let isFresh = false;
  let enteredEarly = null;

  // What was opened lately, per person: the next who signs in here sees none of it -----------------------

  function recents() {
    try {
      const kept = JSON.parse(localStorage.getItem(recentName)) || [];
      return kept.filter((each) => typeof each?.title === "string" && /^\/(?!\/)/.test(each.url));
    } catch {
      return [];
    }
  }

  function remember(hit) {
    const url = hit.getAttribute("href");
    if (!url || hit.dataset.do) return;
    const title = hit.querySelector(".clip").textContent;
    const icon = hit.querySelector("use").getAttribute("href");
    const kept = [{ title, url, icon }, ...recents().filter((each) => each.url !== url)].slice(0, RECENT);
    localStorage.setItem(recentName, JSON.stringify(kept));
  }

  function recentGroup() {
    const kept = recents();
    if (!kept.length) return null;
    const group = document.createElement("div");
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", "Recent");
    const label = document.createElement("div");
    label.className = "label";
    label.textContent = "Recent";
    group.append(label);
    for (const each of kept) {
      const hit = document.createElement("a");
      hit.className = "hit";
      hit.href = each.url;
      hit.dataset.hit = "";
      const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      icon.setAttribute("class", "glyph");
      icon.setAttribute("aria-hidden", "true");
      const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
      use.setAttribute("href", String(each.icon));
      icon.append(use);
      const title = document.createElement("span");
      title.className = "grow clip";
      title.textContent = each.title;
      hit.append(icon, title);
      group.append(hit);
    }
    return group;
  }

  // The options ----------------------------------------------------------------------------------------

  const hits = () => [...options.querySelectorAll("[data-hit]")];

  function draw(html, asked) {
    options.innerHTML = html;
    if (!field.value.trim()) {
      const group = recentGroup();
      if (group) options.firstElementChild.prepend(group);
    }
    hits().forEach((hit, number) => {
      hit.id = `hit-${number}`;
      hit.tabIndex = -1;
      hit.setAttribute("role", "option");
    });
    choose(0);
    const count = hits().length;
    said.textContent = count === 1 ? "1 result" : `${count} results`;
    if (asked !== field.value) return;
    isFresh = true;
    const entered = enteredEarly;
    enteredEarly = null;
    if (entered && current >= 0) open(hits()[current], entered.inNewTab);
  }

  function choose(number) {
    const all = hits();
    current = all.length ? (number + all.length) % all.length : -1;
    all.forEach((hit, each) => hit.setAttribute("aria-selected", String(each === current)));
    if (current < 0) return field.removeAttribute("aria-activedescendant");
    field.setAttribute("aria-activedescendant", all[current].id);
    // The first one brings the label of its group into sight.
    if (current === 0) options.scrollTop = 0;
    else all[current].scrollIntoView({ block: "nearest" });
  }

  async function ask() {
    const number = ++isAsked;
    const asked = field.value;
    try {
      const address = `${dialog.dataset.url}?${new URLSearchParams({ q: asked })}`;
      const response = await fetch(address, { headers: { Accept: "text/html" } });
      // A session that has ended leads to the sign-in page.
      if (response.redirected) return location.reload();
      if (!response.ok) throw new Error(String(response.status));
      const html = await response.text();
      if (number === isAsked) draw(html, asked);
    } catch {
      if (number !== isAsked) return;
      options.textContent = "";
      const sentence = document.createElement("p");
      sentence.className = "pad quiet";
      sentence.textContent = "Logos did not answer. Go on typing to try again.";
      options.append(sentence);
      said.textContent = sentence.textContent;
      current = -1;
      enteredEarly = null;
    }
  }

  function open(hit, inNewTab) {
    const what = hit.dataset.do;
    if (!what) remember(hit);
    if (inNewTab && hit.href) return window.open(hit.href, "_blank", "noopener");
    dialog.close();
    if (what === "theme") document.querySelector("[data-theme-toggle]")?.click();
    else if (what === "keys") document.dispatchEvent(new CustomEvent("logos:keys"));
    else if (what === "sign-out") document.querySelector("[data-sign-out]")?.requestSubmit();
    else location.assign(hit.href);
  }

  function show() {
    // One layer at a time: the palette takes the place of an open menu.
    document.querySelectorAll(":popover-open").forEach((layer) => layer.hidePopover());
    field.value = "";
    isFresh = false;
    dialog.showModal();
    ask();
  }

  dialog.addEventListener("close", () => {
    clearTimeout(timer);
    isAsked += 1;
    enteredEarly = null;
  });
  field.addEventListener("input", () => {
    clearTimeout(timer);
    isFresh = false;
    timer = setTimeout(ask, WAIT_MS);
  });
  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      choose(current + step);
    } else if (event.key === "Enter") {
      event.preventDefault();
      const inNewTab = event.ctrlKey || event.metaKey;
      const hit = hits()[current];
      if (!isFresh) enteredEarly = { inNewTab };
      else if (hit) open(hit, inNewTab);
    }
  });
  options.addEventListener("click", (event) => {
    const hit = event.target.closest("[data-hit]");
    if (!hit) return;
    // The browser opens links in tabs and windows by itself.
    if (event.ctrlKey || event.metaKey || event.shiftKey) return remember(hit);
    event.preventDefault();
    open(hit, false);
  });
  options.addEventListener("pointermove", (event) => {
    const number = hits().indexOf(event.target.closest("[data-hit]"));
    if (number >= 0 && number !== current) choose(number);
  });
  dialog.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
  });
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-palette-open]");
    if (!opener || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    show();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
    event.preventDefault();
    if (dialog.open) dialog.close();
    else if (!document.querySelector("dialog[open]")) show();
  });
  document.querySelector("[data-sign-out]")?.addEventListener("submit", () => localStorage.removeItem(recentName));
})();
