// Keeps values in the browser's storage. If the browser forbids that, they last as long as the page.
function memory(open: () => Storage) {
  const attempt = <T>(act: (storage: Storage) => T): T | null => {
    try { return act(open()); } catch { return null; }
  };
  return {
    get: (key: string): string | null => attempt((s) => s.getItem(`parlor ${key}`)),
    set(key: string, value: string | null | undefined): void {
      attempt((s) => (value ? s.setItem(`parlor ${key}`, value) : s.removeItem(`parlor ${key}`)));
    },
    /** Forgets all of it. */
    clear(): void {
      attempt((s) => { for (const key of Object.keys(s)) if (key.startsWith("parlor ")) s.removeItem(key); });
    },
  };
}

/** Of this tab alone. */
export const tab = memory(() => sessionStorage);
/** Of all tabs, and for good. */
export const browser = memory(() => localStorage);

/** sessionStorage for the client's outbox, if there is one. */
export function outboxStorage(): Storage | undefined {
  try { return sessionStorage; } catch { return undefined; }
}
