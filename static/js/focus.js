// Focus stays where one was when a part of the page is drawn anew, by htmx or by the stream of a run: on the same
// control if there still is one, else on the part itself. Without this it falls to the page's beginning.
"use strict";

(() => {
  // The control one was at, and the ids of what it stood in, nearest first.
  let was = null;
  let places = [];

  document.addEventListener("focusin", ({ target }) => {
    was = target;
    places = [];
    for (let at = target; at; at = at.parentElement) if (at.id) places.push(at.id);
  });
  // Who presses elsewhere has left it.
  document.addEventListener("pointerdown", () => (was = null), true);

  const isLost = () => !document.activeElement || document.activeElement === document.body;
  const isShown = (element) => element.isConnected && !element.disabled && element.checkVisibility();

  // What makes a control the same one, besides its id: what it says, where it leads, what it sends.
  function marks(control) {
    const sends = control.matches("button, [type=radio], [type=checkbox]") ? control.value : "";
    const says = control.getAttribute("aria-label") || (control.name ? "" : control.textContent.trim());
    return JSON.stringify([control.type, control.name, control.getAttribute("href"), sends, says]);
  }

  function twin(place) {
    const all = [...place.querySelectorAll(was.tagName)].filter(isShown);
    const same = marks(was);
    return (was.id && all.find((each) => each.id === was.id)) || all.find((each) => marks(each) === same);
  }

  function back() {
    if (!was || !isLost()) return;
    // A button that was switched off while its request went on.
    if (isShown(was)) return was.focus({ preventScroll: true });
    if (was.isConnected && was.disabled) return;
    for (const place of places.map((id) => document.getElementById(id))) {
      if (!place || !isShown(place)) continue;
      const found = twin(place) || place;
      if (found === place && !place.hasAttribute("tabindex")) place.tabIndex = -1;
      found.focus({ preventScroll: true });
      return;
    }
  }

  // Whoever knows better where to go on, such as the inbox, goes there first.
  const soon = () => setTimeout(back, 0);
  for (const name of ["htmx:afterSettle", "htmx:oobAfterSwap", "htmx:afterRequest", "logos:drawn", "logos:ended"]) {
    document.addEventListener(name, soon);
  }
})();
