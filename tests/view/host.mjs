// A host of MCP Apps: the official bridge on its side, and a server behind it that Python speaks to.

import { AppBridge, PostMessageTransport } from "@modelcontextprotocol/ext-apps/app-bridge";

window.seen = { sizes: [], opened: [], messages: [], contexts: [], calls: [], reads: [], mostReads: 0 };
let reading = 0;

/**
 * Embed the view at `address`, and wait until it says that it is ready.
 *
 * `capabilities` are the host's; `refuse` names what it refuses although it declares it; `height` fixes
 * the frame's. Without one, the frame is as tall as the view says.
 */
window.embed = async ({ address, capabilities, context, refuse = [], height = null }) => {
  const frame = document.createElement("iframe");
  frame.title = "Pictures";
  frame.sandbox = "allow-scripts";
  frame.allow = "clipboard-write";
  frame.style.height = `${height ?? 40}px`;
  document.body.append(frame);

  const bridge = new AppBridge(null, { name: "test-host", version: "1" }, capabilities, {
    hostContext: context,
  });
  const noting = (list, name) => async (params) => {
    window.seen[list].push(params);
    return refuse.includes(name) ? { isError: true } : {};
  };
  if (capabilities.openLinks) bridge.onopenlink = noting("opened", "openLinks");
  if (capabilities.message) bridge.onmessage = noting("messages", "message");
  if (capabilities.updateModelContext) bridge.onupdatemodelcontext = noting("contexts", "updateModelContext");
  if (capabilities.serverTools) {
    bridge.oncalltool = async ({ name, arguments: args }) => {
      window.seen.calls.push(args);
      return window.callTool(name, args);
    };
  }
  if (capabilities.serverResources) {
    bridge.onreadresource = async ({ uri }) => {
      window.seen.reads.push(uri);
      reading += 1;
      window.seen.mostReads = Math.max(reading, window.seen.mostReads);
      return window.readResource(uri).finally(() => (reading -= 1));
    };
  }
  bridge.onsizechange = ({ height: wanted }) => {
    window.seen.sizes.push(wanted);
    if (height === null) frame.style.height = `${wanted}px`;
  };
  window.askView = (method) =>
    new Promise((resolve) => {
      window.addEventListener("message", ({ data }) => data.id === method && resolve(data));
      frame.contentWindow.postMessage({ jsonrpc: "2.0", id: method, method, params: {} }, "*");
    });
  window.bridge = bridge;
  const ready = new Promise((resolve) => bridge.addEventListener("initialized", resolve));
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  frame.src = address;
  await ready;
};
