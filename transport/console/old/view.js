// Shows the items of a room as a list. Whatever people wrote gets into the
// page as text only.

const list = document.getElementById("messages");
const scroller = document.getElementById("scroller");
const latest = document.getElementById("latest");
const template = document.getElementById("item").content.firstElementChild;

const sameDay = new Intl.DateTimeFormat([], { timeStyle: "short" });
const otherDay = new Intl.DateTimeFormat([], { dateStyle: "medium", timeStyle: "short" });

// What is said of an item's state, in a chip and after it. An answer that is complete
// may have ended for a reason that people want to know.
const chips = {
  unsent: "not sent", stopped: "stopped", failed: "failed", interrupted: "interrupted",
  length: "cut", context_full: "cut", pause: "paused", content_filter: "filtered", refusal: "refused", tool_calls: "incomplete",
};
const notes = {
  held: () => "will be sent when the connection is back",
  unsent: (m) => m.error.message,
  queued: () => "waiting for its turn",
  running: (m) => (m.error ? `failed (${m.error.message}), trying again` : m.content ? "" : "thinking…"),
  stopped: (m, names) => [m.by && `by ${names.user(m.by)}`, m.reason].filter(Boolean).join(": "),
  failed: (m) => m.error?.message ?? "",
  interrupted: (m) => m.reason ?? "",
  length: ({ usage }) => `the answer reached its limit of ${usage && !usage.estimated ? `${usage.completion_tokens} ` : ""}tokens`,
  context_full: () => "the conversation is as long as the model can read",
  pause: () => "the provider paused this answer",
  content_filter: () => "the provider's filter cut this answer",
  refusal: () => "the model refused to answer",
  tool_calls: () => "the model wants a tool that it does not have here",
};
const actions = { unsent: ["retry", "edit"], queued: ["cancel"], length: ["continue"], pause: ["continue"] };

const outcome = ({ state, finish }) => (state === "completed" && chips[finish] ? finish : state);

let elements = new Map(); // by key
const shown = new WeakMap(); // element → item

export function clear() {
  elements.clear();
  list.replaceChildren();
  following = true;
}

// render brings the list to items, and touches only what has changed.
export function render(items, names) {
  const kept = new Map();
  let next = list.firstElementChild;
  for (const item of items) {
    const li = elements.get(item.key) ?? template.cloneNode(true);
    kept.set(item.key, li);
    if (shown.get(li) !== item) fill(li, item, names);
    if (li === next) next = next.nextElementSibling;
    else list.insertBefore(li, next);
  }
  for (const [key, li] of elements) if (!kept.has(key)) li.remove();
  elements = kept;
  if (following) toEnd();
}

// The end of the list is followed until the reader scrolls up.
let following = true;
let lastTop = 0;

function scrolled() {
  const { scrollHeight, scrollTop, clientHeight } = scroller;
  const atEnd = scrollHeight - scrollTop - clientHeight < 60;
  following = atEnd || (following && scrollTop >= lastTop);
  lastTop = scrollTop;
  latest.hidden = following;
}

export function toEnd() {
  following = true;
  scroller.scrollTop = scroller.scrollHeight;
  lastTop = scroller.scrollTop;
}

scroller.addEventListener("scroll", scrolled);
latest.addEventListener("click", toEnd);
new ResizeObserver(() => { if (following) toEnd(); }).observe(scroller);

function fill(li, item, names) {
  shown.set(li, item);
  const mine = names.isMine(item);
  li.className = mine ? "mine" : item.role;
  li.dataset.key = item.key;
  li.dataset.state = item.state;
  li.querySelector("b").textContent = names.of(item);
  fillTime(li.querySelector("time"), item, mine);
  li.querySelector(".thought").hidden = !item.thought;
  fillText(li.querySelector(".thought div"), item.thought ?? "");
  fillText(li.querySelector(".text"), item.content ?? "");
  const how = outcome(item);
  li.querySelector(".chip").textContent = chips[how] ?? "";
  li.querySelector(".why").textContent = notes[how]?.(item, names) ?? "";
  const { place, count } = item.siblings ?? {};
  li.querySelector(".version").textContent = count ? `${place} / ${count}` : "";
  const possible = [...(actions[how] ?? []), place > 1 && "previous", place < count && "next"];
  for (const b of li.querySelectorAll("button")) b.hidden = !possible.includes(b.dataset.action);
}

function fillTime(time, { timestamp, state }, mine) {
  if (!timestamp) return;
  const at = new Date(timestamp);
  const today = at.toDateString() === new Date().toDateString();
  time.dateTime = timestamp;
  if (state === "sending") time.textContent = "sending…";
  else time.textContent = (mine && state === "completed" ? "sent " : "") + (today ? sameDay : otherDay).format(at);
}

// fillText adds what is new to a text that grows, so that a selection in it stays.
function fillText(element, text) {
  const node = element.firstChild ?? element.appendChild(document.createTextNode(""));
  if (text.startsWith(node.data)) node.appendData(text.slice(node.data.length));
  else node.data = text;
}
