const units = ["KB", "MB", "GB"];

/** A number of bytes as people read it: 1 KB has 1024 bytes, as in the settings of the server. A fraction is never rounded away to a limit. */
export function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`;
  let [n, at] = [bytes / 1024, 0];
  for (; n >= 1024 && at < units.length - 1; at++) n /= 1024;
  const rounded = n < 100 ? Math.ceil(n * 10) / 10 : Math.ceil(n);
  return `${rounded} ${units[at]}`;
}
