// What a client sees that waits less long than a generation takes, as one line of JSON for each step.
//
//     node patience.mjs SDK TRANSPORT TARGET [TIMEOUT]
//
// TIMEOUT is in milliseconds; without it, it is the SDK's own. The rest is told in connect.mjs.

import { connect, say } from "./connect.mjs";

const [sdk, transport, target, timeout] = process.argv.slice(2);
const { client, call } = await connect(sdk, transport, target);
const usual = timeout ? { timeout: Number(timeout) } : {};

// Others may wait at the same server, and would collect what is given up here if it were the same.
const fox = { prompt: `a fox, waited for with progress by SDK ${sdk}` };
const hare = { prompt: `a hare, given up and asked for again by SDK ${sdk}` };

const started = performance.now();
const seconds = () => (performance.now() - started) / 1000;

const waits = call("generate_image", fox, { ...usual, onprogress: () => {}, resetTimeoutOnProgress: true });
const givesUp = call("generate_image", hare, usual).then(
  () => "answered",
  (error) => error.message,
);
say("gave up", { outcome: await givesUp, seconds: seconds() });
say("repeated", { result: await call("generate_image", hare, usual) });
say("waited", { result: await waits, seconds: seconds() });

await client.close();
