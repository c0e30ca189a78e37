// Members of the room, and who is there.
import { noPresence, type RoomState } from "./state.ts";
import type { Member } from "./wire.ts";

type Body = Record<string, any>;
type Members = RoomState["members"];

export const applyPeople = {
  joined(known: Members, now: Member[]): Members {
    const members = new Map(known);
    for (const m of now) members.set(m.user_id, { ...members.get(m.user_id), ...m });
    return members;
  },

  /** Takes the list of all who have a role. */
  listed: (state: RoomState, all: Member[]): RoomState => ({ ...state, members: new Map(all.map((m) => [m.user_id, m])) }),

  /** Takes a change of somebody's role. A new owner takes the place of the one before. */
  member(state: RoomState, { user_id, name, role }: Body): RoomState {
    const members = new Map(state.members);
    if (role === "owner") {
      for (const [id, m] of members) if (m.role === "owner") members.set(id, { ...m, role: "member" });
    }
    if (role) members.set(user_id, { user_id, name: name || members.get(user_id)?.name, role });
    else members.delete(user_id);
    return { ...state, members, offer: role === "owner" ? undefined : state.offer };
  },

  /** Takes who is there, all of it or what is different. */
  presence(state: RoomState, { members, joins = members, leaves = [], count, devices, assistant }: Body): RoomState {
    const there = new Map(members ? noPresence.members : state.presence.members);
    for (const id of leaves) there.delete(id);
    for (const m of joins ?? []) there.set(m.user_id, m);
    return { ...state, presence: { members: there, count, devices, assistant } };
  },
};
