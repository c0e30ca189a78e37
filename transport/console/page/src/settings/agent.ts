// Puts a browser's User-Agent into words for people.
const browsers: [RegExp, string][] = [
  [/\bEdgA?\//, "Edge"], [/\bOPR\//, "Opera"], [/\bSamsungBrowser\//, "Samsung Internet"], [/\b(Firefox|FxiOS)\//, "Firefox"],
  [/\b(Chrome|CriOS|Chromium|HeadlessChrome)\//, "Chrome"], [/\bSafari\//, "Safari"],
];
const systems: [RegExp, string][] = [
  [/\biPhone\b/, "iPhone"], [/\biPad\b/, "iPad"], [/\bAndroid\b/, "Android"], [/\bWindows\b/, "Windows"], [/\bMac OS X\b/, "macOS"], [/\bCrOS\b/, "ChromeOS"], [/\bLinux\b/, "Linux"],
];

const first = (list: [RegExp, string][], text: string): string => list.find(([form]) => form.test(text))?.[1] ?? "";

/** The browser and the system that a User-Agent header names; both are empty if it names none that is known. */
export const readAgent = (agent: string): { browser: string; system: string } => ({ browser: first(browsers, agent), system: first(systems, agent) });
