"use strict";

/**
 * A generation: its pictures large, what was asked for, what can be done.
 *
 * While it is being made it has the same shape, with empty frames, so that nothing moves afterwards.
 */
function panel(generation, { heading = "h2", title = titleOf(generation) } = {}) {
  const { images } = generation;
  const shown = el("div", { className: "shown" });
  const tabs = images.length > 1 ? filmstrip(images, generation, shown, show) : null;
  const whole = el(
    "section",
    { className: "panel", "aria-label": title },
    el("div", { className: "head" }, el(heading, { tabIndex: -1 }, title), badges(generation)),
    shown,
    tabs,
    words(generation),
    warnings(generation.warnings),
  );
  const facts = whole.querySelector(".facts");
  let actions = null;
  let chosen = null;

  function show(image) {
    chosen = image;
    image.onnews = () => {
      if (chosen !== image) return;
      facts.update(image);
      actions.update?.();
    };
    shown.replaceChildren(frame(image, generation, { large: true }));
    facts.update(image);
    const next = generation.status === "pending" ? actionsToCome() : actionsFor(image);
    if (actions) actions.replaceWith(next);
    else whole.querySelector(".words").after(next);
    actions = next;
  }

  if (images.length) show(images[0]);
  else facts.update(null);
  return whole;
}

/** Titles of generations without pictures. */
const NONE = { failed: "Failed", unknown: UNKNOWN };

function titleOf(generation) {
  const { status, images } = generation;
  if (status === "pending")
    return images.length > 1 ? `Making up to ${images.length} pictures…` : "Making a picture…";
  if (!images.length) return own(NONE, status) ?? "No pictures";
  return counted(images.length, "picture");
}

function badges(generation) {
  const said = ["emulated", "recovered"].filter((name) => generation[name]);
  return said.map((name) => el("span", { className: "badge" }, name));
}

/** The prompt, the facts, the note. Facts go with the picture that is shown. */
function words(generation) {
  const facts = el("p", { className: "facts" });
  facts.update = (image) => {
    const left = el("span", {});
    const parts = factsOf(image, generation).map((fact) => el("span", {}, fact));
    if (image && generation.status === "pending")
      parts.push(...TO_COME.map((fact) => reserved(el("span", {}, fact))));
    facts.replaceChildren(...parts.flatMap((part) => [part, " "]));
    if (!image?.ended && (!image?.expires || image.doubtful)) return;
    left.title = image.expires ? `The link works until about ${localDate(image.expires)}` : "";
    facts.append(left);
    everyTick(left, () => (left.textContent = image.ended ? "expired" : timeLeft(image.expires)));
  };
  return el(
    "div",
    { className: "words" },
    generation.prompt && prompt(generation.prompt),
    facts,
    generation.note && el("p", { className: "note" }, generation.note),
    generation.emulated &&
      el("p", { className: "note" }, "Drawn by the emulator, not by Seedream: nothing was billed."),
    generation.recovered &&
      el("p", { className: "note" }, "Recovered: made for an earlier call, and billed only once."),
  );
}

/** Facts that the result will add, about as long. */
const TO_COME = ["seedream-4.0", "expires in 23 h 59 min"];

function factsOf(image, generation) {
  return [
    sizeOf(image, generation),
    generation.model,
    generation.references && `from ${counted(generation.references, "reference")}`,
    generation.created && localDate(generation.created),
    generation.status !== "pending" && stateOf(generation), // which the title says
  ].filter(Boolean);
}

const LONG_PROMPT = 280;
const MOST_LINES = 6;

/** The beginning of a prompt that is long, in characters or in lines; else all of it. */
function collapsed(prompt) {
  const whole = prompt.trim();
  const lines = whole.split(/\r\n|[\n\v\f\r\u0085\u2028\u2029]/);
  const few = lines.length > MOST_LINES ? `${lines.slice(0, MOST_LINES).join("\n")}…` : whole;
  return short(few, LONG_PROMPT);
}

const isLong = (prompt) => collapsed(prompt) !== prompt.trim();

function prompt(whole) {
  const line = el("p", { className: "prompt", dir: "auto" }, collapsed(whole));
  if (!isLong(whole)) return line;
  const more = button("Show all", null, () => {
    const open = more.getAttribute("aria-expanded") === "true";
    line.textContent = open ? collapsed(whole) : whole;
    more.lastChild.textContent = open ? "Show all" : "Show less";
    more.setAttribute("aria-expanded", String(!open));
  });
  more.classList.add("plain");
  more.setAttribute("aria-expanded", "false");
  return [line, more];
}

function warnings(all) {
  if (!all.length) return null;
  return el(
    "ul",
    { className: "warnings", "aria-label": "Warnings" },
    ...all.map((one) => el("li", {}, icon("trouble"), el("span", {}, one))),
  );
}

/** The pictures small, in rows; the one that is chosen is shown large. */
function filmstrip(images, generation, shown, show) {
  shown.id = newId("shown");
  shown.setAttribute("role", "tabpanel");
  const tiles = images.map((image, index) =>
    el(
      "button",
      {
        type: "button",
        id: newId("tile"),
        role: "tab",
        "aria-label": `Picture ${image.number}`,
        "aria-controls": shown.id,
        onclick: () => choose(index),
      },
      frame(image, generation),
    ),
  );
  if (generation.status === "pending") {
    return el(
      "div",
      { className: "filmstrip", "aria-hidden": "true" },
      ...images.map((one) => frame(one, generation)),
    );
  }
  const strip = el("div", { className: "filmstrip", role: "tablist", "aria-label": "Pictures" }, ...tiles);

  function mark(chosen) {
    tiles.forEach((tile, index) => {
      tile.setAttribute("aria-selected", String(index === chosen));
      tile.tabIndex = index === chosen ? 0 : -1;
    });
    shown.setAttribute("aria-labelledby", tiles[chosen].id);
  }

  function choose(index) {
    mark(index);
    show(images[index]);
  }

  mark(0);
  arrowKeys(
    strip,
    () => tiles,
    (tile) => choose(tiles.indexOf(tile)),
  );
  return strip;
}
