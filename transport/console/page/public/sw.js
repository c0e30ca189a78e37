// The service worker: shows what the server pushes to a browser in which nobody has the chat
// open, and opens the chat. It keeps nothing and answers no requests.

self.addEventListener("push", (event) => {
  const { type, chat_id, title, body, state } = event.data.json();
  const ended = state === "completed" ? "The answer is there." : "The answer has ended.";
  const says = type === "approval" ? `${body || "A tool"} waits for approval.` : body || ended;
  event.waitUntil(self.registration.showNotification(title || "parlor", { body: says, tag: chat_id, icon: "icon.svg", data: { chat_id } }));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(show(new URL(`c/${encodeURIComponent(event.notification.data.chat_id)}`, self.registration.scope).href));
});

/** Brings a tab to the front that has the chat open, or opens one. */
async function show(url) {
  const tabs = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const open = tabs.find((tab) => tab.url.split("#")[0] === url);
  return open ? open.focus() : self.clients.openWindow(url);
}
