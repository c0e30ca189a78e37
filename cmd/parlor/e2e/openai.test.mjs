// The official client of OpenAI, unmodified: what each `make test` shows of it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { chatOf, client, collect, deltas, joined, rises, versions } from "./lib/openai.mjs";
import { folder, messages, serve } from "./lib/parlor.mjs";

for (const [version, Client] of Object.entries(versions)) {
  test(`openai ${version}: models, completions, and a response that is killed and resumed`, async (t) => {
    const dir = folder();
    let server = await serve(t, { dir, args: ["--eliza-word-delay", "40ms"] });
    const listen = new URL(server.url).host;
    const ai = client(Client, server);
    const models = [];
    for await (const m of ai.models.list()) models.push(m.id);
    assert.ok(models.includes("eliza"));
    assert.equal((await ai.models.retrieve("eliza")).object, "model");

    const question = { model: "eliza", messages: [{ role: "system", content: "be kind" }, { role: "user", content: "I am sad" }] };
    const whole = await ai.chat.completions.create(question);
    assert.equal(whole.choices[0].finish_reason, "stop");
    assert.ok(whole.choices[0].message.content.length > 5 && whole.usage.total_tokens > 5);
    assert.match(whole._request_id, /^req_/);
    const chunks = await collect(await ai.chat.completions.create({ ...question, stream: true, stream_options: { include_usage: true } }));
    assert.ok(chunks.map((c) => c.choices[0]?.delta.content ?? "").join("").length > 5);
    assert.equal(chunks.at(-2).choices[0].finish_reason, "stop");
    assert.deepEqual([chunks.at(-1).choices, chunks.at(-1).usage.total_tokens > 5], [[], true]);
    const list = await (await fetch(`${server.url}/api/v1/chat`, { headers: { "X-Parlor-User": "alice" } })).json();
    assert.equal(list.total, 0, "nothing of a completion is kept");

    const stream = await ai.responses.create({ model: "eliza", input: "I remember my mother", stream: true });
    const heard = await collect(stream, (events) => { if (deltas(events).length === 2) server.kill(); });
    assert.ok(heard.cut, "the end of the server is no end of the stream");
    server = await serve(t, { dir, listen, args: ["--eliza-word-delay", "1ms"] });

    const { id } = heard[0].response;
    const rest = await collect(await ai.responses.retrieve(id, { stream: true, starting_after: heard.at(-1).sequence_number }));
    assert.ok(rises([...heard, ...rest]), "no number comes twice");
    const { response } = rest.at(-1);
    assert.deepEqual([rest.at(-1).type, response.status], ["response.completed", "completed"]);
    assert.deepEqual(response.output.map((i) => [i.status, i.content.length]), [["incomplete", 0], ["completed", 1]]);
    const dead = rest.find((e) => e.type === "response.output_item.done");
    assert.deepEqual([dead.output_index, dead.item.id, dead.item.status], [0, deltas(heard)[0].item_id, "incomplete"]);
    assert.equal(joined(rest), response.output[1].content[0].text);

    const now = await ai.responses.retrieve(id);
    assert.equal(now.output_text, joined(rest));
    const helped = await ai.responses.stream({ response_id: id }).finalResponse();
    assert.deepEqual([helped.status, helped.output_text], ["completed", now.output_text]);
    const said = await messages(server, chatOf(now));
    assert.deepEqual(said.map((m) => [m.role, m.content]), [["user", "I remember my mother"], ["assistant", now.output_text]]);
  });
}
