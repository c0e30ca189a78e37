// aimock with an answer for every case of the suite. It prints its URL, and
// ends when its standard input does.
import { LLMock } from "@copilotkit/aimock";

const { answer, words, key, usage } = JSON.parse(process.argv[1]);
const mock = new LLMock({ port: 0, auth: { apiKeys: [key] } });
const refuse = (status, more) => [{ error: { message: `${words}, ${key}`, type: "some_error" }, status, ...more }];
const cases = {
  hello: [{ content: answer, usage }],
  slowly: [{ content: answer, usage }, { streamingProfile: { ttft: 20, tps: 400, jitter: 0.5 } }],
  limit: refuse(429, { retryAfter: 20 }),
  patience: refuse(408),
  boom: refuse(500),
  overloaded: refuse(529, { retryAfter: 20 }),
  wrong: refuse(400),
  credential: refuse(401),
  forbidden: refuse(403),
  nowhere: refuse(404),
  truncated: [{ content: answer }, { truncateAfterChunks: 4, latency: 2 }],
  disconnected: [{ content: answer }, { disconnectAfterMs: 60, latency: 5 }],
  hanging: [() => new Promise(() => {})],
  "chaos of drops": [{ content: answer }, { chaos: { dropRate: 1 } }],
  "chaos of nonsense": [{ content: answer }, { chaos: { malformedRate: 1 } }],
  "chaos of limits": [{ content: answer }, { chaos: { rateLimitRate: 1 } }],
  "chaos of cuts": [{ content: answer }, { chaos: { disconnectRate: 1 } }],
};
for (const [message, [response, options]] of Object.entries(cases)) mock.onMessage(message, response, options);
await mock.start();
console.log(mock.url);
process.stdin.resume().on("end", () => process.exit());
