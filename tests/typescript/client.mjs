// What a client of the TypeScript SDK sees of a server, as one line of JSON for each step.
//
//     node client.mjs SDK TRANSPORT TARGET
//
// They are told in connect.mjs.

import { connect, say } from "./connect.mjs";

const { client, call } = await connect(...process.argv.slice(2));
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
