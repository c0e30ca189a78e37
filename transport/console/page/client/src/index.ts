export { Api, Refusal, type Credentials } from "./api.ts";
export { Chat, type Entering, type NewChat } from "./chat.ts";
export { ChatList } from "./chatlist.ts";
export { Client, type ClientOptions, type Connection } from "./client.ts";
export { conversation, keyOf, type Conversation, type Exchange, type Waiting } from "./exchanges.ts";
export { apply, finishReading, fromHistory, join, record, startReading } from "./fold.ts";
export { newID, Outbox, type Entry, type Said, type Storage } from "./outbox.ts";
export { emptyRoom, roleOf, type Presence, type RoomState, type Running, type Snapshot, type Turn } from "./state.ts";
export type * from "./wire.ts";
