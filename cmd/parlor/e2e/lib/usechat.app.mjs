// The page that lib/usechat.mjs serves: an app with the AI SDK's useChat, of the version that it was bundled with. What it
// writes is what docs/aisdk.md says that an app has to write.
import { useChat } from "@ai-sdk/react";
import * as ai from "ai";
import { createElement } from "react";
import { createRoot } from "react-dom/client";

const query = new URLSearchParams(location.search);
const chat = query.get("chat");
const api = `${query.get("server")}/api/v1/ui/chat`;
const headers = query.has("user") ? { "x-parlor-user": query.get("user") } : {};
const credentials = "include";

const old = query.get("version") === "5"; // which knows no approvals
const transport = query.has("ws")
  ? new ai.WebSocketChatTransport({ url: `${query.get("server")}/api/v1/ui/ws` })
  : new ai.DefaultChatTransport({
    api, headers, credentials, body: old ? { sdk_version: 5 } : undefined,
    prepareReconnectToStreamRequest: old ? () => ({ api: `${api}/${chat}/stream?sdk_version=5`, headers, credentials }) : undefined,
  });

/** Returns the messages that the server has of the chat, none if it is new. */
async function load() {
  const response = await fetch(`${api}/${chat}${old ? "?sdk_version=5" : ""}`, { headers, credentials });
  if (response.status === 404) return [];
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

window.seen = []; // what onData, onError and onFinish were given
function App({ messages }) {
  const hook = useChat({
    id: chat, messages, transport, resume: !query.has("idle"),
    sendAutomaticallyWhen: ai.lastAssistantMessageIsCompleteWithApprovalResponses,
    onData: (part) => window.seen.push({ data: part }),
    onError: (error) => window.seen.push({ error: error.message }),
    onFinish: ({ isDisconnect, isAbort, isError }) => window.seen.push({ finish: { isDisconnect, isAbort, isError } }),
  });
  window.chat = { ...hook, text: (i) => textOf(hook.messages.at(i)) };
  return null;
}

const textOf = (message) => message?.parts.filter((p) => p.type === "text").map((p) => p.text).join("");

window.stopOnServer = () => fetch(`${api}/${chat}/stop`, { method: "POST", headers, credentials }).then((r) => r.json());
window.history_ = load;
load().then(async (messages) => {
  if (messages.length > 0) await ai.validateUIMessages({ messages }); // as a careful app does
  const root = createRoot(document.body);
  window.unmount = () => root.unmount();
  root.render(createElement(App, { messages }));
});
