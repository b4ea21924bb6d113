// What every page needs: local times, ticking durations, copy buttons, the theme, errors of htmx near their form.
"use strict";

(() => {
  const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
  const dayFormat = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  const exactFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

  // The server does not know the reader's time zone.
  function localTimes(root) {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      time.title = exactFormat.format(at);
      if ("clock" in time.dataset) {
        const isToday = at.toDateString() === new Date().toDateString();
        time.textContent = (isToday ? clockFormat : dayFormat).format(at);
      }
    }
  }

  // The words of the server's filter "ago", which drew the page some time before.
  function ago(at) {
    const passed = (Date.now() - at) / 1000;
    const size = Math.abs(passed);
    if (size < 45) return passed >= 0 ? "just now" : "in less than a minute";
    for (const [limit, unit, name] of [[3600, 60, "min"], [86400, 3600, "h"], [604800, 86400, "d"]]) {
      if (size >= limit - unit / 2) continue;
      const number = Math.max(1, Math.round(size / unit));
      return passed > 0 ? `${number} ${name} ago` : `in ${number} ${name}`;
    }
    return "";
  }

  function freshen() {
    if (document.hidden) return;
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const text = ago(Date.parse(time.dateTime));
      if (text && text !== time.textContent) time.textContent = text;
    }
  }

  function elapsed(milliseconds) {
    const seconds = Math.max(0, Math.floor(milliseconds / 1000));
    if (seconds < 60) return `${seconds} s`;
    const minutes = Math.floor(seconds / 60);
    if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
    return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  }

  function tick() {
    for (const node of document.querySelectorAll("[data-since]")) {
      node.textContent = elapsed(Date.now() - Date.parse(node.dataset.since));
    }
  }

  function copyButtons(root) {
    for (const block of root.querySelectorAll(".prose pre")) {
      if (block.parentElement.classList.contains("with-copy")) continue;
      const frame = document.createElement("div");
      frame.className = "with-copy";
      block.replaceWith(frame);
      const button = document.createElement("button");
      button.type = "button";
      button.className = "button copy";
      button.textContent = "Copy";
      button.addEventListener("click", async () => {
        try {
          await navigator.clipboard.writeText(block.innerText);
          button.textContent = "Copied";
        } catch {
          getSelection().selectAllChildren(block);
          button.textContent = "Selected";
        }
        setTimeout(() => (button.textContent = "Copy"), 1500);
      });
      frame.append(block, button);
    }
  }

  function enhance(root) {
    localTimes(root);
    copyButtons(root);
    tick();
  }

  function themeToggle() {
    const button = document.querySelector("[data-theme-toggle]");
    if (!button) return;
    const isDark = () => {
      const chosen = document.documentElement.dataset.theme;
      return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    };
    const label = () => (button.querySelector("[data-theme-word]").textContent = isDark() ? "Light" : "Dark");
    button.hidden = false;
    label();
    button.addEventListener("click", () => {
      const theme = isDark() ? "light" : "dark";
      document.documentElement.dataset.theme = theme;
      localStorage.setItem("logos:theme", theme);
      label();
    });
  }

  // Errors never replace what they were meant to add to: they go to the nearest place for errors.
  function errorPlace(source) {
    return source.closest("form")?.querySelector("[data-errors]") || document.getElementById("notices");
  }

  function notice(place, sentence, action) {
    const box = document.createElement("div");
    box.className = "notice bad";
    box.dataset.error = "unsent";
    const strong = document.createElement("strong");
    strong.textContent = sentence;
    const inside = document.createElement("div");
    inside.append(strong, ` ${action}`);
    box.append(inside);
    place.replaceChildren(box);
  }

  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, requestConfig } = event.detail;
    if (xhr.status < 400) return;
    const place = errorPlace(requestConfig.elt);
    // A choice that was refused is not what holds.
    if ("resetRefused" in requestConfig.elt.dataset) requestConfig.elt.reset();
    if (xhr.responseText.includes("data-error=") || xhr.responseText.includes("data-form-errors")) {
      event.detail.shouldSwap = true;
      event.detail.target = place;
      event.detail.swapOverride = "innerHTML";
      return;
    }
    event.detail.shouldSwap = false;
    if (xhr.status === 403) notice(place, "This page is out of date.", "Reload it and try again; what you typed is kept.");
    else if (xhr.status === 400 || xhr.status === 413) notice(place, "This is too large to send.", "Put the long part in a file, or send it in pieces.");
    else notice(place, "Something went wrong that we did not foresee.", "Nothing was lost; try again.");
  });
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => {
      if (event.detail.elt.matches?.("[data-while-visible]")) return;
      notice(errorPlace(event.detail.elt), "Logos did not answer.", "Check that it is running and try again; what you typed is kept.");
    });
  }
  document.addEventListener("htmx:beforeRequest", (event) => {
    // What asks by itself waits until somebody looks.
    if (document.hidden && event.detail.elt.matches("[data-while-visible]")) return event.preventDefault();
    const place = event.detail.elt.querySelector?.("[data-errors]");
    if (place) place.replaceChildren();
  });
  document.addEventListener("htmx:configRequest", (event) => {
    // Items that arrive over the stream carry no token of their own.
    const token = document.querySelector("[name=csrfmiddlewaretoken]")?.value;
    if (token) event.detail.headers["X-CSRFToken"] = token;
  });
  document.addEventListener("htmx:afterSettle", (event) => enhance(event.detail.elt.parentElement || document));
  // The end of a log stays in sight, unless the reader has scrolled up; then what is being read does not move.
  let readAt = null;
  const toTail = () => {
    const log = document.querySelector("pre[data-tail]");
    if (log) log.scrollTop = readAt ?? log.scrollHeight;
  };
  document.addEventListener("scroll", ({ target }) => {
    if (!target.matches?.("pre[data-tail]")) return;
    readAt = target.scrollTop + target.clientHeight >= target.scrollHeight - 8 ? null : target.scrollTop;
  }, true);
  document.addEventListener("htmx:oobAfterSwap", toTail);
  toTail();
  document.addEventListener("logos:drawn", (event) => enhance(event.target));
  document.addEventListener("click", (event) => {
    if (event.target.closest("#notices .notice")) event.target.closest(".notice").remove();
  });

  // What does not fit is told whole to whoever points at it.
  document.addEventListener("pointerover", (event) => {
    const cut = event.target.closest?.(".clip, .what");
    if (cut && !cut.title && cut.scrollWidth > cut.clientWidth) cut.title = cut.textContent.trim();
  });

  // On a phone the tabs of a page are wider than it: the one that is open has to be in sight.
  document.querySelector(".tabs [aria-current]")?.scrollIntoView({ inline: "nearest", block: "nearest" });
  // A form that came back: to the first field that was refused.
  if (!document.querySelector("[data-conflict]")) document.querySelector("form [aria-invalid=true]")?.focus();
  setInterval(tick, 1000);
  setInterval(freshen, 20000);
  document.addEventListener("visibilitychange", freshen);
  themeToggle();
  enhance(document);
})();
