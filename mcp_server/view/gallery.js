"use strict";

const PAGE = 12;

/** The recent generations, page by page, newest first; one of them large when it is chosen. */
class Gallery {
  #pages = [];
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

  /** Begin with this page. */
  begin(page) {
    this.#pages = [page];
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
    this.#status.say(`Page ${this.#pages.length}, ${counted(count, "generation")}.`);
  }

  #headline() {
    return el(
      "div",
      { className: `head ${this.#heard}` },
      el(this.#heading, { tabIndex: -1 }, "Recent pictures"),
    );
  }

  #draw() {
    const { generations, more, warnings: said } = this.#pages.at(-1);
    const cards = el("ul", { className: "cards" }, ...generations.map((one) => this.#card(one)));
    arrowKeys(cards, () => [...cards.querySelectorAll("button")]);
    const empty = el(
      "div",
      { className: "empty" },
      icon("picture"),
      el("p", {}, "No pictures yet."),
      el("p", { className: "note" }, "Ask for one in the conversation; it will be listed here."),
    );
    this.#place.replaceChildren(
      this.#headline(),
      generations.length ? cards : empty,
      warnings(said) ?? "",
      this.#pager(more, generations.at(-1)?.id) ?? "",
    );
  }

  #pager(more, last) {
    const canAsk = Boolean(host.capabilities.serverTools);
    const page = this.#pages.length;
    if (more && !canAsk)
      return el("p", { className: "note" }, "There are older ones: ask for them in the conversation.");
    if (page === 1 && !more) return null;
    const newer = button("Newer", "newer", () => this.#newer(), {
      "aria-disabled": page === 1 ? "true" : null,
    });
    const older = button("Older", "older", () => this.#older(more, last), {
      "aria-disabled": more ? null : "true",
    });
    older.append(older.firstChild);
    return el(
      "nav",
      { className: "row pager", "aria-label": "Pages" },
      newer,
      el("span", { className: "note" }, `Page ${page}`),
      older,
    );
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
