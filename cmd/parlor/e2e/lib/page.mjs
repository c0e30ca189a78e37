// The page as tests of it see it.

/** What there is on the page, as selectors. */
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
