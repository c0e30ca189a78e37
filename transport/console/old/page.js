// The page: who you are, which chat this is, and what the buttons do.

import { Room, newID } from "./room.js";
import * as push from "./push.js";
import * as view from "./view.js";

const base = new URL(".", import.meta.url); // the server, under whatever path it is
const $ = (id) => document.getElementById(id);

// ---- what this tab remembers: a browser may forbid it, and then it forgets

const tab = {
  get(key) {
    try { return sessionStorage.getItem(`parlor ${key}`); } catch { return null; }
  },
  set(key, value) {
    try {
      if (value) sessionStorage.setItem(`parlor ${key}`, value);
      else sessionStorage.removeItem(`parlor ${key}`);
    } catch { /* forgotten */ }
  },
};

// ---- who you are

// A server in development mode believes everybody, so there you choose your
// name. It shows its mode by believing this one.
const probe = `page-${newID()}`;
let token = tab.get("token");
let name = tab.get("name") ?? guestName();
let me = null;
let proved = false; // the server knows who this is, and does not merely believe it
tab.set("name", name);

function guestName() {
  const pick = (words) => words.split(" ")[Math.floor(Math.random() * words.split(" ").length)];
  const mood = pick("brave bright calm clever cosy curious eager gentle happy jolly kind lively merry mellow nimble polite quiet sunny swift witty");
  const animal = pick("badger beaver crane dolphin falcon finch fox gecko hare heron ibis lark lynx marten otter owl panda puffin robin seal swan tern wren");
  return `${mood}-${animal}-${10 + Math.floor(Math.random() * 90)}`;
}

const names = {
  isMine: ({ mine, author }) => mine || (me !== null && author?.user_id === me.user_id),
  user: (id) => (id === me?.user_id ? "you" : id),
  of(item) {
    if (item.role === "assistant") return models.get(item.model_id)?.display_name ?? item.model_id ?? "Assistant";
    return names.isMine(item) ? "You" : item.author?.name || item.author?.user_id || item.role;
  },
};

// ---- the server's API

const models = new Map();
let chosen = null; // the model that was picked in this tab

async function api(path, method = "GET", content, again = true) {
  const headers = { "X-Parlor-User": probe, "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const response = await fetch(new URL(`api/v1/${path}`, base), { method, headers, body: content && JSON.stringify(content) });
  if (response.status === 401 && again && !token && path !== "auth/login" && await refreshed()) return api(path, method, content, false);
  const body = await response.json();
  if (!response.ok) throw Object.assign(new Error(body.detail), { code: body.code });
  return body;
}

// refreshed reports whether the session of this browser has got new tokens.
const refreshed = async () => (await fetch(new URL("api/v1/auth/refresh", base), { method: "POST" })).ok;

async function prepare() {
  const [user, list] = await Promise.all([api("auth/me"), api("model")]);
  const development = user.user_id === probe;
  me = development ? { user_id: name } : user;
  for (const m of list.models) models.set(m.model_id, m);
  offerModels();
  $("name").value = me.name || me.user_id;
  $("name").readOnly = !development;
  proved = !development;
  $("signout").hidden = development;
  $("you").hidden = $("picker").hidden = false;
  await accept();
  offerPush();
  return { me, model: list.models[0] };
}

const inAddress = (key) => new URLSearchParams(location.hash.slice(1)).get(key);

// accept becomes a member of the chat that the address is an invitation to, and opens it.
async function accept() {
  const invitation = inAddress("i");
  if (!invitation) return;
  const { chat_id } = await api(`invites/${encodeURIComponent(invitation)}`, "POST");
  if (inAddress("i") !== invitation) return; // somebody went elsewhere
  history.replaceState(null, "", address(chat_id));
  open();
}

// invite makes a link with which others become members of this chat, for a week.
async function invite() {
  try {
    const { url } = await api(`chat/${encodeURIComponent(inAddress("c"))}/invites`, "POST", { role: "member", expires_in: 7 * 24 * 3600 });
    await toClipboard("invite", url, "The link with which others join this chat, for a week:");
  } catch (e) {
    alert(`There is no invitation: ${e.message}`);
  }
}

let pushKey = null; // of the server; null if it tells nobody anything by push

// offerPush shows the button if the server and the browser can push. A name that the server
// merely believes has no subscription.
async function offerPush() {
  if (!proved || !push.possible) return;
  pushKey ??= (await api("push/key").catch(() => null))?.public_key ?? null;
  $("notify").hidden = !pushKey;
  $("notify").ariaPressed = String(Boolean(await push.current().catch(() => null)));
}

async function togglePush() {
  try {
    const subscription = await push.current();
    if (subscription) {
      await api("push/subscriptions", "DELETE", subscription.toJSON()).catch(() => {}); // it may have forgotten it
      await subscription.unsubscribe();
    } else {
      await api("push/subscriptions", "POST", await push.subscribe(pushKey));
    }
    await offerPush();
  } catch (e) {
    alert(`Nobody can be told anything here: ${e.message}`);
  }
}

function offerModels() {
  const options = [...models.values()].map((m) => new Option(m.display_name, m.model_id));
  $("model").replaceChildren(...options, new Option("another…", ANOTHER));
}

const ANOTHER = " "; // is no model's id

function choose() {
  const id = $("model").value;
  chosen = id === ANOTHER ? prompt("Which model, as provider:model?")?.trim() || chosen : id;
  if (chosen && !models.has(chosen)) {
    models.set(chosen, { model_id: chosen, display_name: chosen });
    offerModels();
  }
  render();
}

// ---- the chat, named in the address

let room = null;

function open() {
  if (!inAddress("c") && !inAddress("i") && tab.get("return")) history.replaceState(null, "", tab.get("return"));
  tab.set("return", null);
  const chat = inAddress("c") ?? newID();
  if (!inAddress("c") && !inAddress("i")) history.replaceState(null, "", address(chat));
  room?.close();
  view.clear();
  chosen = null;
  $("second").href = address(chat);
  room = new Room({
    base, chat, prepare, said,
    auth: () => ({ user_id: name, token: token ?? undefined }),
    outbox: {
      load: () => JSON.parse(tab.get(`outbox ${chat}`) ?? "[]"),
      save: (messages) => tab.set(`outbox ${chat}`, messages.length && JSON.stringify(messages)),
    },
    changed: () => { scheduled ??= requestAnimationFrame(render); },
  });
  render();
}

const address = (chat) => `#${new URLSearchParams({ c: chat })}`;

// ---- showing it

let scheduled = null;

function render() {
  scheduled = null;
  const items = room.items();
  const refused = room.phase === "refused";
  const signin = refused && room.problem.code === "unauthenticated";
  renderConnection(signin);
  renderProblem(signin);
  renderSignin(signin);
  $("composer").lastElementChild.disabled = refused;
  $("empty").hidden = signin || items.length > 0 || room.phase !== "connected";
  $("earlier").hidden = !room.hasEarlier;
  $("invite").hidden = room.role !== "owner" || room.phase !== "connected" || !proved;
  $("answering").hidden = !room.running || room.phase !== "connected";
  $("answering").firstElementChild.textContent = room.running ? `${names.of(room.running)} is answering` : "";
  const here = room.phase === "connected" ? room.presence.line(me?.user_id) : "";
  $("here").hidden = !here;
  $("here").textContent = here;
  $("model").value = model(items);
  view.render(items, names);
}

function renderConnection(signin) {
  const away = navigator.onLine === false && room.phase === "reconnecting";
  const phase = away ? "offline" : room.phase;
  $("connection").dataset.phase = phase;
  $("connection").textContent = signin ? "signed out" : phase.endsWith("ing") ? `${phase}…` : phase;
}

function renderSignin(signin) {
  const appears = signin && $("signin").hidden;
  $("signin").hidden = !signin;
  $("composer").hidden = $("settings").hidden = signin;
  $("signin-error").textContent = signin ? signinError || (token && room.problem.message) || "" : "";
  if (appears) offerSignin();
}

// offerSignin shows the ways in that this server has.
async function offerSignin() {
  const ways = await api("auth/methods").catch(() => ({ token: true }));
  $("with-provider").hidden = !ways.oidc;
  $("with-provider").firstElementChild.href = new URL("api/v1/auth/oidc/login", base);
  $("with-password").hidden = !ways.password;
  $("with-token").hidden = !ways.token;
  (ways.password ? $("user") : ways.token ? $("token") : $("with-provider").firstElementChild).focus();
}

function renderProblem(signin) {
  const text = room.problem?.message ?? "";
  $("problem").hidden = !text || signin;
  $("problem").firstElementChild.textContent = text;
  $("problem").lastElementChild.hidden = room.phase !== "refused";
}

// model is the one that you picked, else the one that was talked with last.
function model(items) {
  const last = items.findLast((m) => m.model_id)?.model_id;
  return [chosen, last].find((id) => models.has(id)) ?? models.keys().next().value ?? "";
}

// said reads out what others say, once and whole.
function said(message) {
  if (names.isMine(message)) return;
  const p = document.createElement("p");
  p.textContent = `${names.of(message)}: ${message.content || message.state}`;
  $("announcer").append(p);
  if ($("announcer").childElementCount > 5) $("announcer").firstElementChild.remove();
}

// ---- what can be done

function send() {
  const text = $("text").value.trim();
  if (!text || room.phase === "refused") return;
  $("text").value = "";
  fitText();
  say(text);
}

function say(text) {
  room.say(text, model(room.items()) || undefined);
  render();
  view.toEnd();
}

function fitText() {
  $("text").style.height = "auto";
  $("text").style.height = `${$("text").scrollHeight + 2}px`; // its borders
}

const itemActions = {
  retry: (key) => room.retry(key),
  cancel: (key) => room.stop(key),
  continue: () => say("Continue"),
  previous: (key) => room.version(key, -1),
  next: (key) => room.version(key, 1),
  edit(key) {
    $("text").value = [room.take(key), $("text").value].filter(Boolean).join("\n");
    fitText();
    $("text").focus();
  },
};

async function toClipboard(button, text, title) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // http:// on another host has no clipboard, and a browser may forbid it
    return prompt(title, text);
  }
  const label = $(button).textContent;
  $(button).textContent = "Copied";
  setTimeout(() => { $(button).textContent = label; }, 2000);
}

const copyLink = () => toClipboard("copy", location.href, "The link to this chat:");

function rename() {
  const wanted = $("name").value.trim();
  $("name").value = wanted || name;
  if (!wanted || wanted === name) return;
  name = wanted;
  tab.set("name", name);
  open();
}

// A sign-in with a provider or a password holds for all tabs, by cookies. A token is this
// tab's own.
const tabs = new BroadcastChannel(`parlor ${base.pathname}`);
tabs.onmessage = () => { if (!token) open(); };

let signinError = ""; // of the last try

function signIn(value) {
  token = value;
  tab.set("token", token);
  $("token").value = "";
  open();
}

async function submitSignin({ target }) {
  signinError = "";
  if (target.id === "with-token") return signIn($("token").value.trim());
  try {
    await api("auth/login", "POST", { user_id: $("user").value.trim(), password: $("password").value });
    tabs.postMessage("in");
    signIn(null);
  } catch ({ message }) {
    signinError = message;
    render();
  }
  $("password").value = "";
}

async function signOut() {
  if (!token) await api("auth/logout", "POST").catch(() => {});
  tabs.postMessage("out");
  signIn(null);
}

function on(id, event, act) {
  $(id).addEventListener(event, (e) => {
    if (event === "submit") e.preventDefault();
    act(e);
  });
}

on("composer", "submit", send);
on("text", "input", () => { fitText(); if ($("text").value.trim()) room.typing(); });
on("text", "keydown", (e) => {
  if (e.key !== "Enter" || e.shiftKey || e.isComposing) return;
  e.preventDefault();
  send();
});
on("stop", "click", () => room.stop(room.running?.turn_id));
on("messages", "click", ({ target }) => {
  itemActions[target.dataset.action]?.(target.closest("li").dataset.key);
});
on("earlier", "click", () => room.earlier());
on("copy", "click", copyLink);
on("invite", "click", invite);
on("notify", "click", togglePush);
on("new", "click", () => { location.hash = address(newID()); });
on("name", "change", rename);
on("model", "change", choose);
on("signin", "submit", submitSignin);
on("with-provider", "click", () => tab.set("return", location.hash));
on("signout", "click", signOut);
on("problem", "click", ({ target }) => { if (target.type === "button") room.reconnect(); });
for (const event of ["online", "offline"]) addEventListener(event, render);
addEventListener("hashchange", open);
open();
