// The scripts that the page starts besides itself. Under the policy of trusted
// types an address of a script has to come from here.
import { base } from "./lib/base.ts";
import hearing from "./voice/hearing.worklet.ts?worker&url";
import highlighter from "./markdown/highlight.worker?worker&url";

const serviceWorker = new URL("sw.js", base).href;
const own: readonly string[] = [hearing, highlighter, serviceWorker];

type Policy = { createScriptURL(address: string): string };
type Factory = { createPolicy(name: string, rules: Policy): Policy };

const policy: Policy = policyOf({
  createScriptURL(address) {
    if (!own.includes(address)) throw new TypeError(`not a script of this page: ${address}`);
    return address;
  },
});

function policyOf(rules: Policy): Policy {
  const factory = (globalThis as { trustedTypes?: Factory }).trustedTypes;
  return factory ? factory.createPolicy("parlor-script-url", rules) : rules;
}

/** Starts the worker that colours code. */
export function openHighlighter(): Worker {
  return new Worker(policy.createScriptURL(highlighter), { type: "module" });
}

/** Has a context know the worklet that takes the sound of a microphone. */
export function addHearing(context: AudioContext): Promise<void> {
  return context.audioWorklet.addModule(policy.createScriptURL(hearing));
}

/** Starts the service worker, which keeps the page and shows what the server pushes. */
export function registerServiceWorker(): Promise<ServiceWorkerRegistration> {
  return navigator.serviceWorker.register(policy.createScriptURL(serviceWorker));
}
