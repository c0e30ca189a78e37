// The page as an app: it starts without the server, and its icon shows how many chats have something new.
import { registerServiceWorker } from "../scripts.ts";

const SETTLED = 3_000; // ms, after which what the page loads for itself is there

/** Has the browser keep the page, once it has time. */
export function keepPage(): void {
  for (const link of document.querySelectorAll<HTMLLinkElement>("link[rel$=icon], link[rel=manifest]")) link.href = link.href; // the address of the page changes
  if (!("serviceWorker" in navigator)) return;
  setTimeout(() => registerServiceWorker().catch(() => {}), SETTLED); // it may be forbidden, and nothing is lost then
}

/** Shows a number on the icon, where there is one. */
export function badge(unread: number): void {
  const { setAppBadge, clearAppBadge } = navigator as Partial<Pick<Navigator, "setAppBadge" | "clearAppBadge">>;
  void (unread > 0 ? setAppBadge?.call(navigator, unread) : clearAppBadge?.call(navigator))?.catch(() => {});
}
