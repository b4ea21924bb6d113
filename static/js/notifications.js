// The page of notifications: lets this browser be pushed to, and marks it in the list.
"use strict";

(() => {
  const box = document.querySelector("[data-push]");
  const button = box.querySelector("[data-push-on]");
  const state = box.querySelector("[data-push-state]");
  const say = (sentence) => (state.textContent = sentence);

  const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

  async function digest(address) {
    const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(address));
    return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  async function known(subscription) {
    const row = subscription && box.querySelector(`[data-device="${await digest(subscription.endpoint)}"]`);
    row?.querySelector("[data-this]").removeAttribute("hidden");
    return Boolean(row);
  }

  async function tell(subscription) {
    const body = new URLSearchParams({
      endpoint: subscription.endpoint,
      p256dh: text(subscription.getKey("p256dh")),
      auth: text(subscription.getKey("auth")),
    });
    const headers = { "X-CSRFToken": document.querySelector("[name=csrfmiddlewaretoken]").value, "HX-Request": "true" };
    const answer = await fetch(box.dataset.add, { method: "POST", body, headers });
    if (answer.ok) return location.reload();
    await subscription.unsubscribe();
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    say(page.querySelector("[data-error]")?.textContent.trim() || "Logos did not take it. Try again.");
  }

  async function switchOn() {
    button.disabled = true;
    say("Asking the browser…");
    try {
      if ((await Notification.requestPermission()) !== "granted") {
        return say("This browser does not allow it. Allow notifications for this site in its settings, then try again.");
      }
      const worker = await navigator.serviceWorker.register(box.dataset.worker);
      await navigator.serviceWorker.ready;
      const options = { userVisibleOnly: true, applicationServerKey: bytes(box.dataset.push) };
      // One made with another key cannot be used any more.
      await (await worker.pushManager.getSubscription())?.unsubscribe();
      await tell(await worker.pushManager.subscribe(options));
    } catch (error) {
      say(`The browser could not be switched on: ${error.message}`);
    } finally {
      button.disabled = false;
    }
  }

  async function begin() {
    if (!window.isSecureContext) return say("Browsers allow push only over https, or on this machine itself.");
    if (!("serviceWorker" in navigator && "PushManager" in window)) return say("This browser knows no push.");
    const worker = await navigator.serviceWorker.getRegistration(box.dataset.worker);
    if (await known(await worker?.pushManager.getSubscription())) return say("This browser is switched on.");
    say("This browser is not switched on.");
    button.hidden = false;
  }

  button.addEventListener("click", switchOn);
  begin();
})();
