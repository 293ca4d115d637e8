// A client of the TypeScript SDK, connected, and how it calls and tells.

import * as two from "@modelcontextprotocol/client";
import { StdioClientTransport as Stdio2 } from "@modelcontextprotocol/client/stdio";
import { Client as Client1 } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport as Sse1 } from "@modelcontextprotocol/sdk/client/sse.js";
import { StdioClientTransport as Stdio1 } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport as Http1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

// `sdk` is 1 (the protocol's older era) or 2 (its revision 2026-07-28), `transport` is stdio, sse or http, and
// `target` the URL, or for stdio the command as a JSON array.
export async function connect(sdk, transport, target) {
  const newer = sdk === "2";
  const name = { name: "typescript", version: "1" };
  const client = newer
    ? new two.Client(name, { versionNegotiation: { mode: { pin: "2026-07-28" } } })
    : new Client1(name);
  const Transport = {
    stdio: newer ? Stdio2 : Stdio1,
    sse: newer ? two.SSEClientTransport : Sse1,
    http: newer ? two.StreamableHTTPClientTransport : Http1,
  }[transport];
  await client.connect(new Transport(transport === "stdio" ? serverOf(target) : new URL(target)));

  // The older SDK takes a schema of the result between the call and its options.
  const call = (tool, args, options) =>
    client.callTool({ name: tool, arguments: args }, ...(newer ? [] : [undefined]), options);
  return { client, call };
}

// A server process with this one's environment; by default it gets only a part of it.
function serverOf(target) {
  const [command, ...args] = JSON.parse(target);
  return { command, args, env: process.env };
}

// One line of JSON for each step.
export const say = (step, seen) => console.log(JSON.stringify({ step, ...seen }));
