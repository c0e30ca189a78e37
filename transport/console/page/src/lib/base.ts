// Where the server is. The scripts of the page lie in assets/ below its base path.
const script = import.meta.url;

export const base: URL = import.meta.env.DEV ? new URL("/", location.href) : new URL("..", script);

/** The address of a place of the page, as an href. */
export const href = (path: string): string => base.pathname + path;
