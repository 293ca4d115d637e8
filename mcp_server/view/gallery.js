"use strict";

const PAGE = 12;

/** The recent generations, page by page, newest first; one of them large when it is chosen. */
class Gallery {
  #pages = [];
  #past = false; // the first of them is not the newest one
  #heading;
  #heard;
  #status = statusLine();
  #place = el("div", { className: "place" });
  #chosen = null;

  /** `heading` is its element; where a button above says the same, it is only heard. */
  constructor(heading, heard = "") {
    this.#heading = heading;
    this.#heard = heard;
    this.element = el(
      "section",
      { className: "gallery", "aria-label": "Recent pictures" },
      this.#place,
      this.#status,
    );
  }

  /** Begin with this page; `past` says that there are newer ones. */
  begin(page, past) {
    this.#pages = [page];
    this.#past = past;
    this.#draw();
  }

  /** Begin with the newest page, asked for over the bridge. */
  async load() {
    this.#place.replaceChildren(
      this.#headline(),
      el("div", { className: "cards" }, ...Array.from({ length: 4 }, blankCard)),
    );
    await this.#fetch();
  }

  async #fetch(before) {
    this.element.setAttribute("aria-busy", "true");
    this.#status.say("Loading…");
    try {
      const page = toPage(await callTool("list_images", { limit: PAGE, ...(before && { before }) }));
      if (!before) [this.#pages, this.#past] = [[], false];
      this.#pages.push(page);
      this.#draw();
      if (this.#pages.length > 1) this.#sayPage();
      else this.#status.say("");
    } catch (error) {
      this.#status.say(`The list could not be had: ${error.message}`, true);
      if (!this.#pages.length) this.#place.replaceChildren(this.#headline());
    } finally {
      this.element.removeAttribute("aria-busy");
    }
  }

  #sayPage() {
    const count = this.#pages.at(-1).generations.length;
    this.#status.say(`${this.#pageName()}, ${counted(count, "generation")}.`);
  }

  #pageName() {
    return this.#past ? "Older pictures" : `Page ${this.#pages.length}`;
  }

  #headline() {
    return el(
      "div",
      { className: `head ${this.#heard}` },
      el(this.#heading, { tabIndex: -1 }, "Recent pictures"),
    );
  }

  #draw() {
    const { generations, left, more, warnings: said } = this.#pages.at(-1);
    const cards = el("ul", { className: "cards" }, ...generations.map((one) => this.#card(one)));
    arrowKeys(cards, () => [...cards.querySelectorAll("button")]);
    this.#place.replaceChildren(
      this.#headline(),
      generations.length ? cards : this.#empty(left || more),
      warnings(said) ?? "",
      this.#pager(more, generations.at(-1)?.id) ?? "",
    );
  }

  #empty(some) {
    let said = ["No pictures yet.", "Ask for one in the conversation; it will be listed here."];
    if (some)
      said = ["There are pictures that could not be listed here.", "Ask for them in the conversation."];
    else if (this.#past || this.#pages.length > 1) said = ["No older pictures.", ""];
    const [what, how] = said;
    return el(
      "div",
      { className: "empty" },
      icon("picture"),
      el("p", {}, what),
      how && el("p", { className: "note" }, how),
    );
  }

  #pager(some, last) {
    const more = some && Boolean(last); // older than nothing can't be asked for
    const page = this.#pages.length;
    const first = page === 1;
    if (first && !more && !this.#past) return null;
    if (!host.capabilities.serverTools) {
      const which = [this.#past && "newer", more && "older"].filter(Boolean).join(" and ");
      return el("p", { className: "note" }, `There are ${which} ones: ask for them in the conversation.`);
    }
    const newest = first && this.#past;
    const newer = button(
      newest ? "Newest" : "Newer",
      "newer",
      () => (newest ? this.#newest() : this.#newer()),
      { "aria-disabled": first && !newest ? "true" : null },
    );
    const older = button("Older", "older", () => this.#older(more, last), {
      "aria-disabled": more ? null : "true",
    });
    older.append(older.firstChild);
    return el(
      "nav",
      { className: "row pager", "aria-label": "Pages" },
      newer,
      el("span", { className: "note" }, this.#pageName()),
      older,
    );
  }

  async #newest() {
    if (this.element.hasAttribute("aria-busy")) return;
    await this.#fetch();
    if (!this.#past) this.#place.querySelector(this.#heading).focus({ preventScroll: true });
  }

  async #older(more, last) {
    if (!more || this.element.hasAttribute("aria-busy")) return;
    await this.#fetch(last);
    this.#focusPager(-1);
  }

  #newer() {
    if (this.#pages.length === 1 || this.element.hasAttribute("aria-busy")) return;
    this.#pages.pop();
    this.#draw();
    this.#sayPage();
    this.#focusPager(0);
  }

  /** The button that was pressed is another now. */
  #focusPager(which) {
    [...this.#place.querySelectorAll(".pager button")].at(which)?.focus({ preventScroll: true });
  }

  #card(generation) {
    const { images } = generation;
    const state = images.length || generation.status === "pending" ? stateOf(generation) : "";
    const inside = [
      el(
        "span",
        { className: "cover" },
        images.length ? frame(images[0], generation) : blank(generation),
        images.length > 1 && el("span", { className: "count" }, counted(images.length, "picture")),
      ),
      el("span", { className: "card-prompt", dir: "auto" }, generation.prompt || "No prompt on record"),
      el(
        "span",
        { className: "note" },
        [generation.created ? localDate(generation.created) : "", state].filter(Boolean).join(" · "),
      ),
      generation.note && el("span", { className: "note card-note" }, generation.note),
    ];
    const card = el(
      "button",
      { type: "button", className: "card", onclick: () => this.#open(generation) },
      ...inside,
    );
    card.dataset.generation = generation.id;
    return el("li", {}, card);
  }

  #open(generation) {
    this.#chosen = generation.id;
    const back = button("Recent pictures", "newer", () => this.#close());
    back.classList.add("plain");
    const one = panel(generation, { heading: this.#heading });
    this.#status.say("");
    this.#place.replaceChildren(back, one);
    one.querySelector(this.#heading).focus();
  }

  #close() {
    this.#draw();
    const id = CSS.escape(this.#chosen);
    this.#place.querySelector(`[data-generation="${id}"]`)?.focus();
  }
}

/** In place of a picture: what became of it. */
const blank = (generation, status = stateOf(generation)) =>
  generation.status === "pending"
    ? el("span", { className: "frame tile pending" })
    : el("span", { className: "frame tile" }, el("span", { className: "missing" }, icon("trouble"), status));

const blankCard = () =>
  el(
    "div",
    { className: "card" },
    el("span", { className: "cover" }, el("span", { className: "frame tile pending" })),
  );
