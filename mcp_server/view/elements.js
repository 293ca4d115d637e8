"use strict";

// What comes from a server or a host is text: it becomes text nodes and checked attributes, never HTML.

/** An element with `properties` and `children`; a property with a dash in its name is an attribute. */
function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.flat().filter((child) => child || child === 0));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** One of the drawings in view.html; it says nothing by itself. */
function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(SVG, "use"));
  svg.firstChild.setAttribute("href", `#icon-${name}`);
  return svg;
}

function button(label, iconName, onclick, properties = {}) {
  const inside = [iconName && icon(iconName), el("span", {}, label)];
  return el("button", { type: "button", className: "button", onclick, ...properties }, ...inside);
}

/** A line that says what a click did: seen and read aloud, and its room is there from the start. */
function statusLine() {
  const line = el("p", { className: "status", role: "status" });
  line.say = (text, trouble = false) => {
    line.textContent = text;
    line.classList.toggle("trouble", trouble);
  };
  return line;
}

/** `element` as room that is kept: what will stand there is neither seen nor heard yet. */
function reserved(element) {
  element?.classList.add("reserved");
  return element;
}

let ids = 0;

/** An id that no other element has. */
function newId(name) {
  ids += 1;
  return `${name}-${ids}`;
}

const ticking = new Map();

/** Call `update` now, and every few seconds while `element` is shown. */
function everyTick(element, update) {
  ticking.set(element, { update, shown: false });
  update();
}

setInterval(() => {
  for (const [element, one] of ticking) {
    if (element.isConnected) {
      one.shown = true;
      one.update();
    } else if (one.shown) {
      ticking.delete(element);
    }
  }
}, 5000);

const STEPS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };

/** Arrow keys, Home and End move the focus among `items()`, which stand in rows. */
function arrowKeys(container, items, moved = () => {}) {
  container.addEventListener("keydown", (event) => {
    const all = items();
    const from = all.indexOf(document.activeElement);
    if (from < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const to = target(event.key, from, all);
    if (to === undefined) return;
    event.preventDefault();
    all[to].focus();
    moved(all[to]);
  });
}

function target(key, from, all) {
  if (key === "Home") return 0;
  if (key === "End") return all.length - 1;
  if (!STEPS[key]) return undefined;
  const top = all[0].getBoundingClientRect().top;
  const columns = all.filter((item) => Math.abs(item.getBoundingClientRect().top - top) < 4).length;
  const to = from + STEPS[key][0] + STEPS[key][1] * columns;
  return all[to] ? to : from;
}
