// The page as tests of it see it.
import assert from "node:assert/strict";

/** The parts of the page, as selectors. */
export const on = {
  connected: '[data-testid="connection"][data-phase="connected"]',
  notConnected: '[data-testid="connection"]:not([data-phase="connected"])',
  field: '[data-testid="text"]',
  talk: '[data-testid="talk"]',
  items: '[data-testid="talk"] [data-role]',
  texts: '[data-testid="talk"] [data-role] .text',
  answer: (state) => `[data-testid="talk"] [data-role="assistant"][data-state="${state}"]`,
  answers: '[data-testid="talk"] [data-role="assistant"]',
  waiting: '[data-testid="queue"] [data-turn]',
  stop: '[data-testid="stop"]',
  typing: '[data-testid="typing"]',
  here: '[data-testid="people"] [data-presence="here"]',
  name: '[data-testid="name"]',
  model: '[data-testid="model"]',
  invite: '[data-testid="invite"]',
  makeInvite: '[data-testid="make-invite"]',
  copyInvite: '[data-testid="copy-invite"]',
  inviteLink: '[data-testid="invite-link"]',
  inviteProblem: '[data-testid="invite-problem"]',
  problem: '[data-testid="problem"]',
  signInProblem: '[data-testid="signin-error"]',
  signOut: '[data-testid="signout"]',
  withPassword: '[data-testid="with-password"]',
  withProvider: '[data-testid="with-provider"]',
  withToken: '[data-testid="with-token"]',
  user: '[data-testid="user"]',
  password: '[data-testid="password"]',
  notify: '[data-testid="notify"]',
  token: '[data-testid="token"]',
  join: '[data-testid="join-now"]',
  welcome: '[data-testid="welcome"]',
};

/**
 * Opens the page in a context of its own, so as another person, in development mode under the name of user. The test
 * fails if a script of the page throws.
 */
export async function visit(t, b, url, { user, viewport, ...options } = {}) {
  const context = await b.newContext({ viewport: { width: 1280, height: 800, ...viewport }, ...options });
  if (user) await context.addInitScript((name) => sessionStorage.setItem("parlor name", name), user);
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (e) => errors.push(e.message));
  t.after(() => assert.deepEqual(errors, []));
  await page.goto(url);
  return page;
}

/** The same, and waits until the page is connected. */
export async function tab(t, b, url, options) {
  const page = await visit(t, b, url, options);
  await connected(page);
  return page;
}

/** Takes a picture, if the environment says where to. */
export const picture = async (page, name) => {
  if (process.env.PICTURES) await page.screenshot({ path: `${process.env.PICTURES}/${name}.png` });
};

export async function say(page, text) {
  await page.fill(on.field, text);
  await page.press(on.field, "Enter");
}

export const shows = (page, text) => page.locator(on.texts, { hasText: text }).first().waitFor();

export const connected = (page, options) => page.locator(on.connected).waitFor(options);

/** The chat that is open, as the address says. */
export const chatOf = (page) => /\/c\/([^/#]+)/.exec(page.url())?.[1];

export const address = (server, chat, base = "") => `${server.url}${base}/c/${chat}`;
