// Passkeys: wakes the buttons that need one where the browser can, and says in words what went wrong.
"use strict";

(() => {
  const WORDS = {
    NotAllowedError: "Nothing was confirmed, or it took too long. Try again.",
    InvalidStateError: "This key is one of yours already.",
    SecurityError: "Passkeys do not work at this address. Open the site by its name.",
  };

  function wake(button) {
    const kind = button.dataset.passkey;
    const form = button.form;
    const ids = { [kind]: button.id, credential: form.elements.credential.id };
    if (document.getElementById("js_data")) ids.data = "js_data";
    if (form.elements.passwordless) ids.passwordless = form.elements.passwordless.id;
    window.allauth.webauthn.forms[`${kind}Form`]({ ids });
    form.hidden = false;
    button.hidden = false;
  }

  if (window.PublicKeyCredential) document.querySelectorAll("[data-passkey]").forEach(wake);

  document.addEventListener("allauth.error", (event) => {
    event.preventDefault();
    const place = document.querySelector("[data-passkey-error]");
    place.textContent = WORDS[event.detail.exception.name] || "This browser could not use a passkey here.";
    place.hidden = false;
  });
})();
