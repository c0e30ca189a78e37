// The state of a room in which each part is watched by itself: a piece of an answer is no news for the list of members.
import { emptyRoom, type RoomState } from "@parlor/client";

export class RoomView implements RoomState {
  epoch = $state.raw<RoomState["epoch"]>();
  seq = $state(0);
  branch = $state(0);
  messages = $state.raw(emptyRoom.messages);
  hasEarlier = $state(false);
  turns = $state.raw(emptyRoom.turns);
  running = $state.raw<RoomState["running"]>(null);
  members = $state.raw(emptyRoom.members);
  presence = $state.raw(emptyRoom.presence);
  offer = $state.raw<RoomState["offer"]>();
  settings = $state.raw(emptyRoom.settings);
  model = $state<RoomState["model"]>();
  provider = $state.raw<RoomState["provider"]>();
  snapshot = $state.raw<RoomState["snapshot"]>(null);
  stale = $state(false);
  reading = $state(false);
  gap = $state(false);
  gone = $state.raw<RoomState["gone"]>(null);

  take(state: RoomState): void {
    Object.assign(this, { epoch: undefined, provider: undefined, offer: undefined, model: undefined }, state);
  }
}
