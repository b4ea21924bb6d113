// Shows that something waits while no page of Logos is open, and opens the page when that is clicked.
"use strict";

self.addEventListener("push", (event) => {
  let said = {};
  try {
    said = event.data.json();
  } catch {
    // An empty message still means that something waits.
  }
  const shown = self.registration.showNotification(said.title || "Something waits for you", {
    body: said.body || "",
    icon: "/static/logos.svg",
    tag: "logos-waiting",
    renotify: true,
    data: { url: said.url || "/approvals/" },
  });
  event.waitUntil(shown);
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const url = new URL(event.notification.data.url, self.location.origin);
  // A message can only lead to this site.
  const address = url.origin === self.location.origin ? url.href : self.location.origin;
  const opened = self.clients.matchAll({ type: "window", includeUncontrolled: true }).then((pages) => {
    const page = pages.find((each) => each.url === address);
    return page ? page.focus() : self.clients.openWindow(address);
  });
  event.waitUntil(opened);
});
