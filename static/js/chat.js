// The chat page: the composer with its draft and its queued note, the keys, and reading that is never moved.
"use strict";

(() => {
  const scroll = document.querySelector("[data-scroll]");
  const chip = document.querySelector("[data-below]");
  const form = document.querySelector("[data-composer]");
  const field = document.getElementById("message");

  // Reading -----------------------------------------------------------------------------------------
  // The page follows new text only for a reader who is at its end; any other gets a chip instead of a jump.

  const NEAR_END_PX = 60;
  let isFollowing = true;

  const distance = () => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight;

  function toEnd() {
    scroll.scrollTop = scroll.scrollHeight;
    isFollowing = true;
    chip.hidden = true;
  }

  scroll.addEventListener("scroll", () => {
    isFollowing = distance() < NEAR_END_PX;
    if (isFollowing) chip.hidden = true;
  });
  // Opening a row or growing the composer is no reason to jump either.
  document.addEventListener("logos:streamed", () => {
    if (isFollowing) toEnd();
    else if (distance() > NEAR_END_PX) chip.hidden = false;
  });
  chip.addEventListener("click", toEnd);
  // The composer grows and errors appear above it: the end stays in sight for who was reading it.
  new ResizeObserver(() => isFollowing && toEnd()).observe(scroll);
  toEnd();

  const isRunning = () => Boolean(document.querySelector(".turn[data-stream]"));

  // Stopping ----------------------------------------------------------------------------------------

  const stopButton = () => document.querySelector("[data-stop] button:not([disabled])");
  let isAsked = false;

  function stop() {
    const button = stopButton();
    if (!button) return;
    const toolsRun = document.querySelector('.turn[data-stream] [data-tool-state="running"]');
    if (toolsRun && !isAsked) {
      isAsked = true;
      const words = button.innerHTML;
      button.textContent = "A step is running. Esc again stops it";
      setTimeout(() => {
        isAsked = false;
        if (button.isConnected) button.innerHTML = words;
      }, 4000);
      return;
    }
    isAsked = false;
    button.click();
  }

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.isComposing || event.defaultPrevented) return;
    // Escape closes the top layer first.
    if (document.querySelector(":popover-open, dialog[open]")) return;
    stop();
  });
  document.body.addEventListener("logos:ended", () => {
    document.getElementById("stop").replaceChildren();
  });

  if (!form) return;

  // The draft ---------------------------------------------------------------------------------------

  const draftName = `logos:draft:${form.dataset.draft}`;
  const queueName = `logos:queued:${form.dataset.draft}`;

  const keepDraft = () => (field.value ? localStorage.setItem(draftName, field.value) : localStorage.removeItem(draftName));

  function write(text) {
    field.value = text;
    grow();
    keepDraft();
  }

  // Browsers without field-sizing.
  function grow() {
    if (CSS.supports("field-sizing", "content")) return;
    field.style.height = "auto";
    field.style.height = `${field.scrollHeight}px`;
  }

  field.addEventListener("input", () => {
    grow();
    keepDraft();
    hint();
  });
  if (!field.value) write(localStorage.getItem(draftName) || "");

  // The queued note ---------------------------------------------------------------------------------
  // One per tab; kept over a reload, sent when the run is done, handed back when it was stopped or failed.

  const queuedBox = document.querySelector("[data-queued]");
  const queued = () => sessionStorage.getItem(queueName) || "";

  function showQueued() {
    queuedBox.hidden = !queued();
    queuedBox.querySelector("[data-queued-text]").textContent = queued();
  }

  function queue() {
    sessionStorage.setItem(queueName, [queued(), field.value.trim()].filter(Boolean).join("\n\n"));
    write("");
    showQueued();
    hint();
  }

  function takeBack() {
    const text = queued();
    sessionStorage.removeItem(queueName);
    showQueued();
    if (text) write([text, field.value].filter(Boolean).join("\n\n"));
  }

  queuedBox.querySelector("[data-queued-edit]").addEventListener("click", () => {
    takeBack();
    field.focus();
  });
  document.body.addEventListener("logos:ended", (event) => {
    hint();
    if (!queued()) return;
    const begun = field.value;
    write("");
    takeBack();
    if (event.detail.status !== "completed") return write([field.value, begun].filter(Boolean).join("\n\n"));
    unsent = begun;
    form.requestSubmit();
  });

  // Sending -----------------------------------------------------------------------------------------

  const hintPlace = document.querySelector("[data-hint]");
  const usualHint = hintPlace.textContent;
  const errors = form.querySelector("[data-errors]");
  // What was being written while a queued note went out.
  let unsent = "";

  function hint() {
    const tooLong = field.value.length - Number(form.dataset.max);
    if (tooLong > 0) hintPlace.textContent = `${tooLong.toLocaleString()} characters too long`;
    else hintPlace.textContent = isRunning() ? "Enter queues the note until the agent is done" : usualHint;
  }

  form.addEventListener(
    "submit",
    (event) => {
      if (!isRunning() || !field.value.trim()) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      queue();
    },
    true,
  );
  form.addEventListener("htmx:beforeRequest", () => (field.readOnly = true));
  form.addEventListener("htmx:afterRequest", (event) => {
    field.readOnly = false;
    if (event.detail.elt !== form) return;
    if (event.detail.successful) {
      write(unsent);
      errors.replaceChildren();
      document.getElementById("nothing-yet")?.remove();
    } else if (unsent) {
      write([field.value, unsent].join("\n\n"));
    }
    unsent = "";
    hint();
    field.focus();
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.elt.closest?.("#turns")) toEnd();
  });

  // Keys of the composer ----------------------------------------------------------------------------

  field.addEventListener("keydown", (event) => {
    // 229: some browsers report the Enter that ends a composition after it has ended.
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      if (!field.readOnly) form.requestSubmit();
    } else if (event.key === "ArrowUp" && !field.value && !event.shiftKey) {
      const said = [...document.querySelectorAll("[data-said]")].pop();
      if (!said) return;
      event.preventDefault();
      write(said.textContent);
      field.setSelectionRange(field.value.length, field.value.length);
    }
  });

  // Not on a phone, where focus brings up the keyboard over what one came to read.
  if (matchMedia("(hover: hover) and (min-width: 46rem)").matches) field.focus({ preventScroll: true });
  if (!isRunning()) takeBack();
  showQueued();
  hint();
})();
