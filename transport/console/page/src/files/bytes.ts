import { session } from "../stores/session.svelte.ts";

/** Fetches a file of a chat as the one who is signed in. */
export async function bytesOf(chat: string, file: string, again = true): Promise<Blob> {
  const { api } = session;
  const response = await fetch(api.fileURL(chat, file), { headers: api.headers() });
  if (response.status === 401 && again && (await api.refresh())) return bytesOf(chat, file, false);
  if (!response.ok) throw new Error((await response.json().catch(() => ({}))).detail ?? response.statusText);
  return response.blob();
}
