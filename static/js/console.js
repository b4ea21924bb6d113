// What the console does in the browser besides unfold's inlines: theme, chosen rows, tabs of a form, popups' menus.
"use strict";

document.addEventListener("alpine:init", () => {
  Alpine.data("console", () => ({
    activeTab: window.location.hash.slice(1) || document.body?.dataset.tab || "general",
    openModal: false,
    filterOpen: false,
    init() {
      const known = [...document.querySelectorAll("#tabs-items a")].map((tab) => tab.hash.slice(1));
      if (!known.includes(this.activeTab)) this.activeTab = document.body.dataset.tab || "general";
    },
  }));
});

function themeSwitch() {
  const button = document.querySelector("[data-theme-toggle]");
  if (!button) return;
  const word = button.querySelector("[data-theme-word]");
  const name = () => { word.textContent = html.classList.contains("dark") ? "Light" : "Dark"; };
  button.hidden = false;
  name();
  button.addEventListener("click", () => {
    localStorage.setItem("logos:theme", html.classList.contains("dark") ? "light" : "dark");
    paint();
    name();
  });
}

function chosenRows() {
  const form = document.getElementById("changelist-form");
  const picks = [...form?.querySelectorAll("[data-pick]") ?? []];
  const counter = form?.querySelector(".actions .counter");
  if (!picks.length || !counter) return;
  const all = form.querySelector("[data-pick-all]");
  const across = form.querySelector(".across");
  const hidden = form.querySelector("[name=select_across]");
  let last = null;
  const count = () => {
    const chosen = picks.filter((pick) => pick.checked).length;
    counter.textContent = chosen ? `${chosen} of ${counter.dataset.of} chosen` : "";
    if (all) {
      all.checked = chosen === picks.length;
      all.indeterminate = chosen > 0 && chosen < picks.length;
    }
    if (across) {
      across.hidden = chosen < picks.length;
      if (across.hidden) across.querySelector("input").checked = false;
      hidden.value = across.querySelector("input").checked ? "1" : "0";
    }
    picks.forEach((pick) => pick.closest("tr").classList.toggle("chosen", pick.checked));
  };
  all?.addEventListener("change", () => { picks.forEach((pick) => { pick.checked = all.checked; }); count(); });
  across?.addEventListener("change", count);
  picks.forEach((pick, place) => pick.addEventListener("click", (event) => {
    if (event.shiftKey && last !== null) {
      const [from, to] = [Math.min(last, place), Math.max(last, place)];
      picks.slice(from, to + 1).forEach((other) => { other.checked = pick.checked; });
    }
    last = place;
    count();
  }));
  window.addEventListener("pageshow", count);
  count();
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const search = document.getElementById("searchbar");
    if (search) { event.preventDefault(); search.focus(); }
  }
});

// What does not fit is told whole to whoever points at it.
document.addEventListener("pointerover", (event) => {
  const cut = event.target.closest?.(".nowrap, .head h1 > *");
  if (cut && !cut.title && cut.scrollWidth > cut.clientWidth) cut.title = cut.textContent.trim();
});

// Django's script makes the filters of two lists beside each other without a label.
window.addEventListener("load", () => setTimeout(() => {
  for (const field of document.querySelectorAll("input[id$=_input]:not([aria-label]), input[id$=_selected_input]:not([aria-label])")) {
    field.setAttribute("aria-label", field.id.endsWith("_selected_input") ? "Filter what is chosen" : "Filter what there is");
  }
}));

themeSwitch();
chosenRows();
