// Times in the words of the browser's language.
const clock = new Intl.DateTimeFormat([], { timeStyle: "short" });
const day = new Intl.DateTimeFormat([], { dateStyle: "medium" });
const both = new Intl.DateTimeFormat([], { dateStyle: "medium", timeStyle: "short" });

const sameDay = (a: Date, b: Date) => a.toDateString() === b.toDateString();

export const at = (time: string | number | Date): string => clock.format(new Date(time));

/** A time of today, or a day. */
export function when(time: string | number | Date, now = new Date()): string {
  const date = new Date(time);
  return sameDay(date, now) ? clock.format(date) : day.format(date);
}

export const full = (time: string | number | Date): string => both.format(new Date(time));
