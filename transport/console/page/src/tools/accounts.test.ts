import { expect, test, vi } from "vitest";

vi.mock("../stores/session.svelte.ts", () => ({ session: {} }));
const { wants } = await import("./accounts.ts");

test("a call leads to the sign-in of its own server, never to that of another", () => {
  const says = (server: string) => `whoever asks has to sign in to ${server} first, at the address /api/v1/tools/accounts/${server}/login`;
  expect(wants("own/whoami", says("own"))).toBe("own");
  expect(wants("own_whoami", says("own"))).toBe("own");
  expect(wants("own/whoami", says("other"))).toBe(undefined);
  expect(wants("owner/whoami", says("own"))).toBe(undefined);
  expect(wants("own/whoami", "done")).toBe(undefined);
});
