"use strict";

/** What the host can do, and how it looks, as far as it said. */
const host = { bridge: null, capabilities: {}, context: {} };

const root = document.documentElement;

/** Take over what has changed of the host's theme, sizes and language. */
function applyContext(changes) {
  host.context = { ...host.context, ...changes };
  const { theme, styles, safeAreaInsets, displayMode } = changes;
  if (theme === "light" || theme === "dark") root.style.colorScheme = theme;
  for (const [name, value] of Object.entries(styles?.variables ?? {})) {
    if (name.startsWith("--") && typeof value === "string") root.style.setProperty(name, value);
  }
  if (typeof styles?.css?.fonts === "string") fonts.textContent = styles.css.fonts;
  for (const [side, pixels] of Object.entries(safeAreaInsets ?? {})) {
    if (Number.isFinite(pixels)) root.style.setProperty(`--inset-${side}`, `${pixels}px`);
  }
  if (displayMode) root.dataset.mode = displayMode;
}

const fonts = document.head.appendChild(document.createElement("style"));

/**
 * Tell the host how tall the view is, now and whenever that changes.
 *
 * But for the full screen, where the host decides, nothing in it is as tall as the window says: else the two
 * would drive each other up.
 */
function reportHeight() {
  let last = 0;
  const report = () => {
    const { displayMode, containerDimensions } = host.context;
    const { height: fixed, maxHeight = Infinity } = containerDimensions ?? {};
    const height = Math.min(Math.ceil(root.getBoundingClientRect().height), maxHeight);
    if (fixed !== undefined || displayMode === "fullscreen" || height === last) return;
    last = height;
    host.bridge.notify("ui/notifications/size-changed", { height });
  };
  new ResizeObserver(report).observe(root);
  report();
}

/** A date as the person reads it. */
function localDate(date) {
  const { locale, timeZone } = host.context;
  const style = { dateStyle: "medium", timeStyle: "short" };
  try {
    return new Intl.DateTimeFormat(locale, { ...style, timeZone }).format(date);
  } catch {
    return new Intl.DateTimeFormat(undefined, style).format(date); // a locale or zone that is none
  }
}

/** The result of a tool of this server, called without the model; `Refused` where it or the host failed. */
async function callTool(name, args) {
  const result = await host.bridge.request("tools/call", { name, arguments: args });
  if (result.isError) throw new Refused(textOf(result).split("\n")[0] || "the server failed");
  return result;
}

const READS_AT_ONCE = 2;
const reads = { running: 0, queue: [], known: new Map() };

/** The picture that a resource of this server holds, as a data: URI; read once, and only a few at a time. */
function readPicture(uri) {
  if (!host.capabilities.serverResources) return Promise.reject(new Refused("no resources here"));
  if (!reads.known.has(uri)) {
    const reading = new Promise((resolve, reject) => reads.queue.push({ uri, resolve, reject }));
    reads.known.set(uri, reading);
    reading.catch(() => reads.known.delete(uri));
    readNext();
  }
  return reads.known.get(uri);
}

async function readNext() {
  if (reads.running >= READS_AT_ONCE || !reads.queue.length) return;
  const { uri, resolve, reject } = reads.queue.shift();
  reads.running += 1;
  try {
    const { contents } = await host.bridge.request("resources/read", { uri });
    const [{ blob, mimeType }] = list(contents);
    const data = dataUri(blob, mimeType);
    if (data) resolve(data);
    else reject(new Refused("no picture"));
  } catch (error) {
    reject(error);
  } finally {
    reads.running -= 1;
    readNext();
  }
}
