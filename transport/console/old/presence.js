// Who else is in the room, as the server tells it: all of it once, and then what changes.

export class Presence {
  #members = new Map(); // by user id
  #count = 0;

  apply({ members, joins = members, leaves = [], count }) {
    if (members) this.#members.clear();
    for (const id of leaves) this.#members.delete(id);
    for (const m of joins) this.#members.set(m.user_id, m);
    this.#count = count;
  }

  clear() {
    this.#members.clear();
    this.#count = 0;
  }

  // line says in a line who is here besides the user me, and who types; "" if nobody is.
  line(me) {
    const others = [...this.#members.values()].filter((m) => m.user_id !== me);
    const name = (m) => m.name || m.user_id;
    const shown = others.slice(0, MAX_NAMES).map(name);
    const more = this.#count - shown.length - (this.#members.has(me) ? 1 : 0);
    if (more > 0) shown.push(`${more} more`);
    const typing = others.filter((m) => m.typing).map(name);
    const who = typing.length > MAX_TYPING ? `${typing.length} people are` : `${list(typing)} ${typing.length > 1 ? "are" : "is"}`;
    return [shown.length && `Here: ${list(shown)}`, typing.length && `${who} typing…`].filter(Boolean).join(" · ");
  }
}

const MAX_NAMES = 5;
const MAX_TYPING = 2;

const list = (names) => [names.slice(0, -1).join(", "), names.at(-1)].filter(Boolean).join(" and ");
