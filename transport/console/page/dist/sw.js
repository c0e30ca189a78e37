// The service worker. It shows what the server pushes to a browser in which nobody has the chat open, and opens the
// chat. It keeps the files of the page, so that the page starts without the server too; what is said it keeps nowhere.

const FILES = ["./assets/index-COKGEitv.js","./assets/index-dfKRcGBL.css"]; // of the page, put in by the build
const CACHE = "parlor page";
const PLACES = ["./", "./c/-"]; // the page at the top, and one folder down

const ofPage = /^(signin|settings)?$|^(c|join|settings)\/[^/]*$/; // addresses at which it is
const here = (path) => new URL(path, self.registration.scope).href;

self.addEventListener("install", (event) => {
  self.skipWaiting(); // a page that is open goes on with the files that it has
  event.waitUntil(keep());
});

async function keep() {
  const cache = await caches.open(CACHE);
  await cache.addAll([...PLACES, ...FILES].map((path) => new Request(here(path), { cache: "no-cache" })));
}

self.addEventListener("activate", (event) => event.waitUntil(forget()));

/** Forgets the files of pages of before. */
async function forget() {
  const cache = await caches.open(CACHE);
  const kept = new Set([...PLACES, ...FILES].map(here));
  for (const request of await cache.keys()) if (!kept.has(request.url)) await cache.delete(request);
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(self.registration.scope)) return;
  const below = new URL(request.url).pathname.slice(new URL(self.registration.scope).pathname.length);
  if (request.mode === "navigate" && ofPage.test(below)) event.respondWith(page(request, below));
  else if (request.url.startsWith(here("assets/"))) event.respondWith(asset(request));
});

/** The page of the server, or if it cannot be reached the one that was kept. */
async function page(request, below) {
  try {
    return await fetch(request);
  } catch (e) {
    const kept = await (await caches.open(CACHE)).match(here(PLACES[below.includes("/") ? 1 : 0]));
    if (!kept) throw e;
    return kept;
  }
}

/** A file whose name says what is in it, so that one that was kept is the same. */
async function asset(request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request.url);
  if (kept) return kept;
  const response = await fetch(request);
  if (response.ok) await cache.put(request.url, response.clone());
  return response;
}

self.addEventListener("push", (event) => {
  const { type, chat_id, title, body, state } = event.data.json();
  const ended = state === "completed" ? "The answer is there." : "The answer has ended.";
  const says = type === "approval" ? `${body || "A tool"} waits for approval.` : body || ended;
  self.navigator.setAppBadge?.().catch(() => {}); // the page says how many chats it is, once it is open
  event.waitUntil(self.registration.showNotification(title || "parlor", { body: says, tag: chat_id, icon: "icon-192.png", data: { chat_id } }));
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
