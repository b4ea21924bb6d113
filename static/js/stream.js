// Follows runs live: reads /stream/runs/<id> as server-sent events, resumes exactly where it lost the line.
//
// A turn that is still going on carries data-stream (the address) and data-seq (the last event it shows).
// Frames: "item" inserts or replaces an element, "append" adds text to one, "end" replaces the whole turn.
// Scripts of a page hear logos:drawn (an element was drawn), logos:streamed (something was added) and logos:ended.
"use strict";

(() => {
  const FIRST_WAIT_MS = 300;
  const LONGEST_WAIT_MS = 15_000;
  // The server says something at least every 15 seconds.
  const SILENCE_MS = 45_000;
  const followers = new Map();

  class Follower {
    constructor(turn) {
      this.run = turn.dataset.run;
      this.address = turn.dataset.stream;
      this.seq = Number(turn.dataset.seq) || 0;
      this.failures = 0;
      this.ended = false;
      this.connect();
    }

    get turn() {
      return document.getElementById(`turn-${this.run}`);
    }

    async connect() {
      if (this.ended || this.aborter) return;
      clearTimeout(this.timer);
      const aborter = (this.aborter = new AbortController());
      try {
        const headers = { Accept: "text/event-stream", "Last-Event-ID": String(this.seq) };
        const response = await fetch(this.address, { headers, signal: aborter.signal, cache: "no-store" });
        if (!response.ok) return this.refused(response.status);
        this.say("");
        await this.read(response.body.getReader(), aborter);
      } catch {
        // A lost line, or one we cut ourselves: the same, we ask again.
      } finally {
        clearTimeout(this.watch);
        if (this.aborter === aborter) this.aborter = null;
      }
      if (!this.ended && !aborter.signal.aborted) this.retry();
    }

    async read(reader, aborter) {
      const decoder = new TextDecoder();
      let buffer = "";
      for (;;) {
        clearTimeout(this.watch);
        this.watch = setTimeout(() => this.restart(), SILENCE_MS);
        const { value, done } = await reader.read();
        if (done || aborter.signal.aborted) return;
        this.failures = 0;
        this.heardAt = Date.now();
        buffer += decoder.decode(value, { stream: true });
        const frames = buffer.split("\n\n");
        buffer = frames.pop();
        for (const frame of frames) this.take(frame);
        if (this.ended) return aborter.abort();
      }
    }

    take(frame) {
      let name = "message";
      let id = 0;
      const data = [];
      for (const line of frame.split("\n")) {
        if (line.startsWith("event: ")) name = line.slice(7);
        else if (line.startsWith("id: ")) id = Number(line.slice(4));
        else if (line.startsWith("data: ")) data.push(line.slice(6));
      }
      if (!data.length || (id && id <= this.seq)) return;
      this.draw(name, JSON.parse(data.join("\n")));
      if (id) this.seq = id;
    }

    draw(name, data) {
      const turn = this.turn;
      if (!turn) return this.stop();
      turn.dataset.seq = this.seq;
      if (name === "append") append(data);
      else if (name === "item") place(turn, data);
      else if (name === "end") this.finish(turn, data);
      (this.turn || document).dispatchEvent(new CustomEvent("logos:streamed", { bubbles: true }));
    }

    finish(turn, data) {
      this.ended = true;
      followers.delete(this.run);
      sayRest();
      replace(turn, data.html);
      const detail = { run: this.run, status: data.status };
      document.body.dispatchEvent(new CustomEvent("logos:ended", { detail, bubbles: true }));
    }

    refused(status) {
      if (status >= 500 || status === 429) return;
      this.ended = true;
      this.say(status === 401 ? "You are signed out. Reload the page to sign in." : "This run can no longer be followed. Reload the page.");
    }

    retry() {
      const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.failures);
      // Jitter, so that many pages do not come back in the same instant after a restart.
      const wait = longest * (0.5 + Math.random() / 2);
      this.failures += 1;
      if (this.failures > 2) this.say("Connection lost, trying again…");
      this.timer = setTimeout(() => this.connect(), wait);
    }

    restart() {
      this.aborter?.abort();
      this.aborter = null;
      this.failures = 0;
      this.connect();
    }

    stop() {
      this.ended = true;
      followers.delete(this.run);
      this.aborter?.abort();
    }

    say(sentence) {
      const place = this.turn?.querySelector("[data-stream-state]");
      if (place) place.textContent = sentence;
    }
  }

  function append({ id, text }) {
    const node = document.getElementById(id)?.querySelector("[data-live-text]");
    if (!node) return;
    if (node.lastChild?.nodeType === Node.TEXT_NODE) node.lastChild.appendData(text);
    else node.append(text);
    if (node.classList.contains("said")) saySentences(text);
  }

  function place(turn, { id, html, before }) {
    const known = document.getElementById(id);
    if (known) {
      replace(known, html);
    } else {
      const element = parse(html);
      const next = before && document.getElementById(before);
      if (next) next.before(element);
      else turn.querySelector("[data-items]").append(element);
      ready(element);
      saySentences(element.querySelector(".said[data-live-text]")?.textContent || "");
    }
    const state = document.getElementById(id)?.querySelector("[data-state]");
    if (state) showState(turn.dataset.run, state);
    const said = document.getElementById(id)?.dataset.say;
    if (said && said !== known?.dataset.say) say(said);
  }

  // The same state is shown in the header and in the list of chats.
  function showState(run, state) {
    for (const place of document.querySelectorAll(`[data-state-of="${run}"]`)) place.innerHTML = state.innerHTML;
    if (state.textContent.includes("waiting")) say(state.textContent);
  }

  function parse(html) {
    const template = document.createElement("template");
    template.innerHTML = html.trim();
    return template.content.firstElementChild;
  }

  function replace(old, html) {
    const element = parse(html);
    // What a person opened stays open.
    for (const open of old.querySelectorAll("details[open][id]")) {
      const again = element.querySelector(`#${CSS.escape(open.id)}`);
      if (again) again.open = true;
    }
    old.replaceWith(element);
    ready(element);
  }

  function ready(element) {
    window.htmx?.process(element);
    element.dispatchEvent(new CustomEvent("logos:drawn", { bubbles: true }));
  }

  // Screen readers hear finished sentences and states, never tokens.
  let unsaid = "";

  function saySentences(text) {
    unsaid += text;
    const end = Math.max(...[". ", "! ", "? ", ".\n", "!\n", "?\n", ":\n"].map((mark) => unsaid.lastIndexOf(mark)));
    if (end < 0) return;
    say(unsaid.slice(0, end + 1));
    unsaid = unsaid.slice(end + 1);
  }

  function sayRest() {
    if (unsaid.trim()) say(unsaid);
    unsaid = "";
  }

  function say(text) {
    const line = document.createElement("p");
    line.textContent = text.trim();
    const announcer = document.getElementById("announcer");
    announcer.append(line);
    while (announcer.children.length > 5) announcer.firstChild.remove();
  }

  function followAll(root) {
    for (const turn of root.querySelectorAll("[data-stream]")) {
      const { run } = turn.dataset;
      if (followers.has(run)) continue;
      followers.set(run, new Follower(turn));
    }
  }

  document.addEventListener("htmx:load", () => followAll(document));
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    for (const follower of followers.values()) {
      if (!follower.aborter || Date.now() - (follower.heardAt || 0) > SILENCE_MS / 2) follower.restart();
    }
  });
  window.addEventListener("online", () => followers.forEach((follower) => follower.restart()));
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) followers.forEach((follower) => follower.restart());
  });
  window.addEventListener("pagehide", () => followers.forEach((follower) => follower.aborter?.abort()));
  followAll(document);
})();
