// Which place of the page one is at, as its address says.
import { base } from "../lib/base.ts";
import { tab } from "../lib/memory.ts";

export type Place =
  | { name: "new" }
  | { name: "chat"; id: string; fresh: boolean; seq?: number } // fresh: it may be that there is no such chat yet
  | { name: "join"; token: string }
  | { name: "settings"; section: string }
  | { name: "runtime"; room?: string } // for administrators
  | { name: "signin" };

// From an identity provider one comes to the start of the page, and wants to be where one was.
function comeBack(): void {
  const [at, state] = JSON.parse(tab.get("return") ?? "[]");
  tab.set("return", null);
  if (at && location.pathname === base.pathname && !location.hash) history.replaceState(state, "", at);
}

function read(): Place {
  const old = new URLSearchParams(location.hash.slice(1));
  const [name, ...rest] = location.pathname.slice(base.pathname.length).split("/");
  const id = decodeURIComponent(rest.join("/"));
  if (name === "c" && id) return { name: "chat", id, fresh: Boolean(history.state?.fresh), seq: Number(/^#m(\d+)$/.exec(location.hash)?.[1]) || undefined };
  if (name === "join" && id) return { name: "join", token: id };
  if (name === "settings") return { name: "settings", section: id || "profile" };
  if (name === "runtime") return { name: "runtime", room: id || undefined };
  if (name === "signin") return { name: "signin" };
  // Addresses of before, which are in links that people have.
  if (old.get("i")) return replaced({ name: "join", token: old.get("i")! });
  if (old.get("c")) return replaced({ name: "chat", id: old.get("c")!, fresh: true });
  return { name: "new" };
}

/** The address of a place, as an href. */
export function address(place: Place): string {
  const below = (() => {
    switch (place.name) {
      case "new": return "";
      case "chat": return `c/${encodeURIComponent(place.id)}${place.seq ? `#m${place.seq}` : ""}`;
      case "join": return `join/${encodeURIComponent(place.token)}`;
      case "settings": return `settings/${place.section}`;
      case "runtime": return place.room ? `runtime/${encodeURIComponent(place.room)}` : "runtime";
      case "signin": return "signin";
    }
  })();
  return base.pathname + below;
}

function replaced(place: Place): Place {
  history.replaceState(stateOf(place), "", address(place));
  return place;
}

const stateOf = (place: Place) => ({ fresh: place.name === "chat" && place.fresh });

comeBack();

class Router {
  place = $state.raw<Place>(read());

  constructor() {
    addEventListener("popstate", () => { this.place = read(); });
    addEventListener("hashchange", () => { this.place = read(); });
  }

  go(place: Place, { replace = false } = {}): void {
    if (replace) history.replaceState(stateOf(place), "", address(place));
    else history.pushState(stateOf(place), "", address(place));
    this.place = place;
  }

  /** Call it before the page is left for an identity provider. */
  goAway = (): void => tab.set("return", JSON.stringify([location.pathname + location.hash, history.state]));

  openChat = (id: string, fresh = false): void => this.go({ name: "chat", id, fresh });

  /** For links within the page: goes there without loading it, unless a new tab is wanted. */
  follow = (event: MouseEvent, place: Place): void => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    this.go(place);
  };
}

export const router = new Router();
