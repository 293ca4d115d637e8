"use strict";

const main = document.getElementById("view");
const MOST_PLACES = 15;
let input = {};
let settled = false;

/** Show `parts` in place of what is there; whoever listens to the page hears `said`. */
function showAll(said, ...parts) {
  main.replaceChildren(...parts.filter(Boolean));
  if (announcer.textContent !== said) announcer.textContent = said;
}

const announcer = document.body.appendChild(el("p", { className: "unseen", role: "status" }));

/** The arguments of the call; where they come late, what it came to stays. */
function takeInput({ arguments: args }) {
  input = args ?? {};
  if (!settled) showPending(input);
}

/** The call is under way: frames of the right shape, as many as may come. */
function showPending(args) {
  if (!text(args.prompt)) {
    const looking = toolName() === "list_images";
    showAll("", el("h1", { className: "quiet" }, looking ? "Looking for recent pictures…" : "Waiting…"));
    return;
  }
  const several = args.sequential_image_generation === "auto";
  const room = Math.max(1, MOST_PLACES - strings(args.images).length);
  const most = several ? Math.min(room, side(args.max_images) || 4) : 1;
  const images = Array.from({ length: most }, () => ({}));
  const raw = { status: "pending", prompt: args.prompt, size: text(args.size) || "2048x2048" };
  const generation = { ...toGeneration(raw, images), references: strings(args.images).length };
  const title = titleOf(generation);
  // Arguments may come in pieces, many times a second: frames that stay as they are stay.
  const shape = JSON.stringify([most, raw.size, generation.references, isLong(generation.prompt)]);
  const shown = main.querySelector(`[data-shape="${CSS.escape(shape)}"] .prompt`);
  if (shown) {
    shown.textContent = collapsed(generation.prompt);
    return;
  }
  const pending = panel(generation, { heading: "h1", title });
  pending.dataset.shape = shape;
  showAll(title, pending, reserved(recent()));
}

const toolName = () => host.context.toolInfo?.tool?.name;

function showResult(result) {
  settled = true;
  if (result.isError) showFailure(toFailure(result));
  else if (isListing(result)) showGallery(toPage(result));
  else showGeneration(toResult(result, input));
}

function isListing(result) {
  const { structuredContent: structured } = result;
  if (structured) return Array.isArray(structured.generations);
  return toolName() === "list_images" || isListed(textOf(result));
}

function showGeneration(generation) {
  if (!generation.status) generation.status = "succeeded";
  const shown = panel(generation, { heading: "h1" });
  const title = titleOf(generation);
  showAll(generation.images.length ? `${title} made.` : title, shown, recent());
}

function showGallery(page) {
  const gallery = new Gallery("h1");
  gallery.begin(page, Boolean(text(input.before)));
  showAll("", gallery.element);
}

function showFailure(failure) {
  const row = (name, words) => words && [el("dt", {}, name), el("dd", {}, words)];
  const title = titleOfFailure(failure);
  const facts = [
    row("What to do", sentence(failure.remedy)),
    row("Who can", own(WHO, failure.who) ?? failure.who),
    row("Billed", sentence(failure.billed)),
    row("Warning", failure.warning),
  ];
  const box = el(
    "section",
    { className: "failure", "aria-label": title },
    el(
      "div",
      { className: "head" },
      icon("trouble"),
      el("h1", {}, title),
      failure.code && el("code", { className: "badge" }, failure.code),
    ),
    el("p", {}, failure.problem),
    el("dl", {}, ...facts.filter(Boolean).flat()),
  );
  showAll(`${title}: ${failure.problem}`, box, recent());
}

function titleOfFailure({ billed }) {
  const tool = toolName();
  if (tool === "list_images") return "The list could not be had";
  if (billed.startsWith("unknown")) return UNKNOWN;
  return tool || text(input.prompt) ? "No picture was made" : "The call failed";
}

function showCancelled({ reason }) {
  if (settled) return;
  settled = true;
  const why = text(reason);
  const box = el(
    "section",
    { className: "failure", "aria-label": "Cancelled" },
    el("h1", {}, "Cancelled"),
    el("p", {}, why ? `The call was cancelled: ${why}.` : "The call was cancelled."),
    el(
      "p",
      { className: "note" },
      "What was under way is finished all the same; the same call again gets it without a second bill.",
    ),
  );
  showAll("The call was cancelled.", box, recent());
}

/** The server speaks to the model; here the person reads. */
const WHO = { you: "The assistant", "a person": "You, or whoever runs this server" };

const sentence = (words) => words.charAt(0).toUpperCase() + words.slice(1);

/** The recent pictures behind a button, where the host lets the view ask for them. */
function recent() {
  if (!host.capabilities.serverTools) return null;
  const place = el("div", { id: newId("recent"), hidden: true });
  const opener = button("Recent pictures", "recent", toggle, {
    "aria-expanded": "false",
    "aria-controls": place.id,
  });
  opener.classList.add("plain");

  function toggle() {
    const open = place.hidden;
    place.hidden = !open;
    opener.setAttribute("aria-expanded", String(open));
    if (!open) return;
    const gallery = new Gallery("h2", "unseen");
    place.replaceChildren(gallery.element);
    gallery.load();
  }

  return el("div", { className: "recent" }, opener, place);
}

async function start() {
  host.bridge = new Bridge(
    { ping: () => ({}), "ui/resource-teardown": () => ({}) },
    {
      "ui/notifications/tool-input-partial": takeInput,
      "ui/notifications/tool-input": takeInput,
      "ui/notifications/tool-result": showResult,
      "ui/notifications/tool-cancelled": showCancelled,
      "ui/notifications/host-context-changed": applyContext,
    },
  );
  const { hostCapabilities, hostContext } = await host.bridge.request("ui/initialize", {
    protocolVersion: PROTOCOL_VERSION,
    appInfo: { name: "seedream-pictures", title: "Seedream pictures", version: "{{version}}" },
    appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
  });
  host.capabilities = hostCapabilities ?? {};
  applyContext(hostContext ?? {});
  host.bridge.notify("ui/notifications/initialized");
  reportHeight();
}

start().catch((error) => {
  main.replaceChildren(
    el("h1", { className: "quiet" }, `This view is part of a conversation. No host: ${error.message}.`),
  );
});
