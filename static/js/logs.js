// Follows a sandbox's log: goes on where the page ends, keeps to the bottom unless the reader has scrolled up.
(() => {
  "use strict";
  const MOST_CHARS = 400000;
  const log = document.querySelector("pre[data-log]");
  if (!log || !window.EventSource) return;
  const state = document.querySelector("[data-log-state]");
  const empty = document.querySelector("[data-log-empty]");
  const source = new EventSource(`${log.dataset.log}&after=${encodeURIComponent(log.dataset.place)}`);
  log.scrollTop = log.scrollHeight;
  source.addEventListener("open", () => { state.textContent = "Following"; });
  source.addEventListener("error", () => { state.textContent = "The line was lost; trying again"; });
  source.addEventListener("log", (event) => {
    const isAtEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
    const text = JSON.parse(event.data).text.replace(/\n$/, "");
    log.hidden = false;
    empty.hidden = true;
    log.append(log.textContent ? `\n${text}` : text);
    if (log.textContent.length > MOST_CHARS) log.textContent = log.textContent.slice(-MOST_CHARS / 2);
    if (isAtEnd) log.scrollTop = log.scrollHeight;
  });
  window.addEventListener("pagehide", () => source.close());
})();
