// Web Push: whether this browser is told when a long answer ends and nobody has the chat open.
import { base } from "../lib/base.ts";
import { registerServiceWorker } from "../scripts.ts";
import { w } from "../words/index.ts";

export const possible = "serviceWorker" in navigator && "PushManager" in window;

/** The subscription of this browser, or null. */
export async function current(): Promise<PushSubscription | null> {
  return (await navigator.serviceWorker.getRegistration(base.href))?.pushManager.getSubscription() ?? null;
}

/** Asks for permission, and returns a new subscription as the server takes it. */
export async function subscribe(applicationServerKey: string): Promise<PushSubscriptionJSON> {
  if ((await Notification.requestPermission()) !== "granted") throw new Error(w.settings.notDenied);
  await registerServiceWorker();
  const { pushManager } = await navigator.serviceWorker.ready;
  return (await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey })).toJSON();
}
