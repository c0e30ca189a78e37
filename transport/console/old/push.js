// Push: whether this browser is told when a long answer ends and nobody has the chat open.

export const possible = "serviceWorker" in navigator && "PushManager" in window;

// The page may run no script whose URL was put together. This one is always the same.
const url = new URL("sw.js", import.meta.url).href;
export const trusted = window.trustedTypes?.createPolicy("sw", { createScriptURL: () => url }).createScriptURL("") ?? url;

/** The subscription of this browser, or null. */
export async function current() {
  return (await navigator.serviceWorker.getRegistration(url))?.pushManager.getSubscription() ?? null;
}

/** Asks for permission, and returns a new subscription as the server takes it. */
export async function subscribe(applicationServerKey) {
  if (await Notification.requestPermission() !== "granted") throw new Error("this browser does not allow notifications");
  await navigator.serviceWorker.register(trusted);
  const { pushManager } = await navigator.serviceWorker.ready;
  const subscription = await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey });
  return subscription.toJSON();
}
