// Numbers as operators read them.

export function span(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

/** The time of day, with seconds. */
export const clock = (ms: number): string => new Date(ms).toTimeString().slice(0, 8);

export const since = (at: string, now: number): string => span(now - Date.parse(at));

const short = (n: number) => (n < 10 ? n.toFixed(1) : String(Math.round(n)));

export const seconds = (s: number): string => (s < 0.9995 ? `${short(s * 1000)} ms` : `${short(s)} s`);

export const rate = (n: number): string => `${n < 10 ? n.toFixed(1) : Math.round(n)}/s`;

/** The points of a line through values, in a box of width × height. Gaps (null) break it. */
export function line(values: (number | null)[], width: number, height: number): string {
  const most = Math.max(0, ...values.map((v) => v ?? 0)) || 1;
  const step = width / Math.max(1, values.length - 1);
  let path = "";
  let open = false;
  values.forEach((v, i) => {
    if (v === null) {
      open = false;
      return;
    }
    const [x, y] = [i * step, height - (v / most) * height];
    path += `${open ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    if (!open && (i + 1 === values.length || values[i + 1] === null)) path += "h0.1"; // a point
    open = true;
  });
  return path;
}
