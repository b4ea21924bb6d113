// Requests that wait for a person: keys, ages, and what others decide meanwhile. Works on the inbox, on one request, and
// on the questions in a chat or run; without it every answer is a form.
"use strict";

(() => {
  const FIELDS = "input, textarea, select, [contenteditable]:not([contenteditable=false])";
  // After one is answered, the next key is not yet meant for the one that follows.
  const PAUSE_MS = 700;
  const inbox = document.querySelector("[data-inbox]");
  let quietUntil = 0;

  // Keys ------------------------------------------------------------------------------------------------

  // The request the keyboard is at; on the page of one request there is only that.
  const current = () =>
    document.activeElement?.closest("[data-approval]") || document.querySelector("[data-approval][data-selected]");

  function more(request, name) {
    const box = request.querySelector(`[data-more="${name}"]`);
    if (!box) return false;
    box.open = true;
    const field = box.querySelector("textarea, input:checked, select");
    field?.focus();
    box.scrollIntoView({ block: "nearest" });
    return true;
  }

  function answer(request, name) {
    const button = request.querySelector(`[data-answer="${name}"]`);
    if (!button || button.disabled) return false;
    button.click();
    return true;
  }

  // A question is answered in words: "a" goes to the field, digits choose what the agent offers.
  function write(request) {
    const field = request.querySelector("[data-own]");
    field?.focus();
    return Boolean(field);
  }

  const ACTS = {
    1: (request) => answer(request, "once") || answer(request, "option-1"),
    a: (request) => answer(request, "once") || write(request),
    2: (request) => answer(request, "run") || answer(request, "option-2"),
    3: (request) => more(request, "rule") || answer(request, "rule") || answer(request, "option-3"),
    4: (request) => answer(request, "option-4"),
    5: (request) => answer(request, "option-5"),
    6: (request) => answer(request, "option-6"),
    r: (request) => more(request, "deny"),
    d: (request) => more(request, "deny"),
  };

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches?.("[data-note]")) {
      event.preventDefault();
      event.target.form.requestSubmit();
      return;
    }
    if (event.key === "Escape" && event.target.closest?.("[data-more][open]")) {
      const box = event.target.closest("[data-more]");
      box.open = false;
      box.querySelector("summary").focus();
      return;
    }
    if (event.defaultPrevented || event.repeat || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.(FIELDS) || document.querySelector("dialog[open], :popover-open")) return;
    const act = ACTS[event.key];
    const request = act && current();
    if (!request || performance.now() < quietUntil) return;
    if (act(request)) event.preventDefault();
  });

  // Opening one kind of answer closes the other, so that a card stays small.
  document.addEventListener(
    "toggle",
    (event) => {
      const box = event.target;
      if (!box.matches?.("[data-more]") || !box.open) return;
      for (const other of box.parentElement.querySelectorAll("[data-more][open]")) if (other !== box) other.open = false;
    },
    true,
  );

  // An answered card stays, small; the keyboard goes on to the next one that waits.
  document.addEventListener("htmx:afterSwap", (event) => {
    const card = event.detail.elt?.closest?.(".ask") || event.detail.target;
    if (!inbox || !card?.matches?.(".ask.over, .ask:not([data-approval])")) return;
    quietUntil = performance.now() + PAUSE_MS;
    const all = [...document.querySelectorAll(".ask")];
    const after = all.slice(all.indexOf(document.getElementById(card.id)) + 1);
    const next = [...after, ...all].find((each) => each.dataset.approval);
    (next || document.getElementById(card.id))?.querySelector("h2 a")?.focus({ focusVisible: true });
  });

  // Ages ------------------------------------------------------------------------------------------------

  function ages() {
    const now = Date.now();
    for (const card of document.querySelectorAll("[data-warm]")) {
      const age = now >= Date.parse(card.dataset.hot) ? "hot" : now >= Date.parse(card.dataset.warm) ? "warm" : "fresh";
      card.classList.remove("hot", "warm", "fresh");
      card.classList.add(age);
    }
  }
  setInterval(ages, 5000);

  // What comes and goes ---------------------------------------------------------------------------------

  function count(number) {
    for (const link of document.querySelectorAll(`a[href="${inbox.dataset.inbox}"]:not(.tabs a)`)) {
      const badge = link.querySelector(".badge");
      if (badge && number) badge.firstChild.textContent = number > 99 ? "99+" : number;
      else badge?.remove();
    }
    document.title = document.title.replace(/^(\(\d+\+?\) )?/, number ? `(${number}) ` : "");
  }

  function say(text) {
    const line = document.createElement("p");
    line.textContent = text;
    const announcer = document.getElementById("announcer");
    announcer.append(line);
    while (announcer.children.length > 5) announcer.firstChild.remove();
  }

  async function part(address) {
    const answer = await fetch(address, { headers: { "HX-Request": "true" }, cache: "no-store" });
    if (!answer.ok) return null;
    const box = document.createElement("template");
    box.innerHTML = (await answer.text()).trim();
    return box.content.firstElementChild;
  }

  function draw(element) {
    window.htmx?.process(element);
    element.dispatchEvent(new CustomEvent("logos:drawn", { bubbles: true }));
  }

  // A card in which somebody writes is left alone until they are done; what they send is refused with the reason.
  const isInUse = (card) =>
    [...card.querySelectorAll("textarea")].some((field) => field.value) || card.querySelector(".htmx-request");

  async function settle(card) {
    const now = await part(`${inbox.dataset.inbox}${card.dataset.approval}/card/`);
    if (!now || now.dataset.approval || isInUse(card)) return;
    const hadFocus = card.contains(document.activeElement);
    card.replaceWith(now);
    draw(now);
    if (hadFocus) now.querySelector("h2 a").focus({ focusVisible: true });
    say(`${now.querySelector("h2").textContent}: ${now.querySelector(".state").textContent}`);
  }

  async function refresh() {
    const queue = document.querySelector("[data-queue]");
    const fresh = await part(queue.dataset.url);
    if (!fresh) return;
    const known = new Set([...queue.querySelectorAll(".ask")].map((card) => card.id));
    const waiting = new Set([...fresh.querySelectorAll(".ask")].map((card) => card.id));
    for (const card of fresh.querySelectorAll(".ask")) {
      const old = document.getElementById(card.id);
      if (old && ("frozen" in old.dataset) !== ("frozen" in card.dataset)) {
        old.replaceWith(card);
        draw(card);
      } else if (old) {
        // What the reviewer said comes later than the card; a reason that is being typed in it stays.
        const was = old.querySelector("[data-review]");
        const is = card.querySelector("[data-review]");
        if (was && is && was.textContent !== is.textContent) was.replaceWith(is);
      }
      if (known.has(card.id)) continue;
      queue.append(card);
      draw(card);
      say(card.querySelector("h2").textContent);
    }
    for (const card of queue.querySelectorAll("[data-approval]")) if (!waiting.has(card.id)) settle(card);
    document.querySelector("[data-nothing]").hidden = Boolean(queue.querySelector(".ask"));
    ages();
  }

  function follow() {
    const source = new EventSource("/stream/approvals");
    source.addEventListener("waiting", (event) => {
      const { count: number } = JSON.parse(event.data);
      count(number);
      refresh();
    });
    window.addEventListener("pagehide", () => source.close());
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) location.reload();
    });
  }

  ages();
  if (inbox) follow();
})();
