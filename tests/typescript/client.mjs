// What a client of the TypeScript SDK sees of a server, as one line of JSON for each step.
//
//     node client.mjs SDK TRANSPORT URL [TOKEN]
//
// SDK is 1 (the protocol's older era) or 2 (its revision 2026-07-28), TRANSPORT is http or sse.

import * as two from "@modelcontextprotocol/client";
import { Client as Client1 } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport as Sse1 } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport as Http1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [sdk, transport, url, token] = process.argv.slice(2);
const newer = sdk === "2";
const name = { name: "typescript", version: "1" };
const options = token ? { requestInit: { headers: { Authorization: `Bearer ${token}` } } } : {};
const client = newer
  ? new two.Client(name, { versionNegotiation: { mode: { pin: "2026-07-28" } } })
  : new Client1(name);
const [Http, Sse] = newer ? [two.StreamableHTTPClientTransport, two.SSEClientTransport] : [Http1, Sse1];

const say = (step, seen) => console.log(JSON.stringify({ step, ...seen }));

// The older SDK takes a schema of the result between the call and its options.
const call = (tool, args, options) =>
  client.callTool({ name: tool, arguments: args }, ...(newer ? [] : [undefined]), options);

await client.connect(new (transport === "sse" ? Sse : Http)(new URL(url), options));
say("connected", { server: client.getServerVersion(), capabilities: client.getServerCapabilities() });

say("tools", { names: (await client.listTools()).tools.map((tool) => tool.name) });

const heard = [];
const made = await call("generate_image", { prompt: "a fox" }, { onprogress: (one) => heard.push(one) });
say("generated", { heard, result: made });

const { generation_id: id, images } = made.structuredContent;
say("edited", { result: await call("edit_image", { prompt: "a wolf", images: [images[0].url] }) });
say("refused", { result: await call("generate_image", { prompt: "x", size: "1x1" }) });

const { contents } = await client.readResource({ uri: `seedream://generations/${id}/1` });
say("read", { type: contents[0].mimeType, start: contents[0].blob.slice(0, 4) });

const leave = new AbortController();
// Not before the request is under way: then the message speaks of the image that is being made.
const onprogress = ({ message }) => message.includes("image") && leave.abort(new Error("enough"));
const cancelled = await call("generate_image", { prompt: "a hare" }, { onprogress, signal: leave.signal }).then(
  () => "answered",
  (error) => error.message,
);
say("cancelled", { outcome: cancelled });
say("repeated", { result: await call("generate_image", { prompt: "a hare" }) });

await client.close();
