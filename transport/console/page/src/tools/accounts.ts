// Sign-ins to servers of tools, each at the authorization server of its own.
import { session } from "../stores/session.svelte.ts";

export interface Account {
  server: string;
  signed_in: boolean;
  since?: string | null;
  scopes?: string[] | null;
}

const path = (server: string) => `tools/accounts/${encodeURIComponent(server)}`;

export const accounts = async (): Promise<Account[]> => (await session.api.ask<{ accounts: Account[] | null }>("GET", "tools/accounts")).accounts ?? [];

/** Opens the sign-in in a tab of its own, at once: later it would be a pop-up, which browsers forbid. */
export async function signIn(server: string): Promise<void> {
  const opened = window.open("about:blank");
  try {
    const { url } = await session.api.ask<{ url: string }>("POST", `${path(server)}/login`);
    if (opened) opened.location.href = url;
    else location.href = url;
  } catch (e) {
    opened?.close();
    throw e;
  }
}

export const signOut = (server: string): Promise<unknown> => session.api.ask("DELETE", path(server));

const loginPath = /\/api\/v1\/tools\/accounts\/([A-Za-z0-9_.-]+)\/login/;

/** The server to which one has to sign in for a call, as the server of the call has said: never another one. */
export function wants(function_name: string, result = ""): string | undefined {
  const [, server] = loginPath.exec(result) ?? [];
  return server !== undefined && /^[/_]/.test(function_name.slice(server.length)) && function_name.startsWith(server) ? server : undefined;
}
