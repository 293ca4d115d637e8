"use strict";

// Results in one form, whatever of them a host handed over: structured content, text, links, or several.

const text = (value) => (typeof value === "string" ? value : "");
const list = (value) => (Array.isArray(value) ? value.filter((one) => one && typeof one === "object") : []);
const strings = (value) => (Array.isArray(value) ? value.filter((one) => typeof one === "string") : []);
const side = (value) => (Number.isInteger(value) && value > 0 && value < 100_000 ? value : 0);

/** The text blocks of a result. */
const textOf = (result) =>
  list(result.content)
    .filter((block) => block.type === "text")
    .map((block) => text(block.text))
    .join("\n");

/** `value` if it is a link to the web; anything else is nothing. */
function webUrl(value) {
  try {
    return /^https?:$/.test(new URL(text(value)).protocol) ? value : "";
  } catch {
    return "";
  }
}

/** A picture's bytes as an address; nothing if they are none. */
function dataUri(data, mimeType) {
  const legal = /^image\/(jpeg|png|webp|gif)$/.test(mimeType) && /^[A-Za-z0-9+/]+={0,2}$/.test(text(data));
  return legal ? `data:${mimeType};base64,${data}` : "";
}

/** Width and height of `2048x1024`, which the server reads as leniently; zeros for a preset. */
function sides(size) {
  const match = /^\s*(\d{1,5})\s*[x×*]\s*(\d{1,5})\s*$/i.exec(text(size));
  return { width: side(Number(match?.[1])), height: side(Number(match?.[2])) };
}

/** A picture as it is shown. `size` is what was asked for, and holds where nothing better is known. */
function toImage(raw, number, size) {
  const known = side(raw.width) && side(raw.height);
  const expires = Date.parse(text(raw.expires_at));
  return {
    number: side(raw.index) || number,
    url: webUrl(raw.url),
    expires,
    ended: raw.expired === true,
    // The server gave it as one that works: so the clock here is wrong, or the result an old one.
    doubtful: raw.expired !== true && expires <= Date.now(),
    resource: text(raw.resource),
    path: text(raw.saved_path),
    preview: "",
    measured: Boolean(known),
    ...(known ? { width: raw.width, height: raw.height } : sides(size)),
  };
}

/** Whether the link to a picture works no more; one in doubt does until it was tried. */
const expired = (image) => image.ended || (!image.doubtful && image.expires <= Date.now());

function toGeneration(raw, images) {
  return {
    id: text(raw.generation_id),
    status: text(raw.status),
    created: Date.parse(text(raw.created)),
    prompt: text(raw.prompt),
    size: text(raw.size),
    model: text(raw.model),
    references: 0,
    emulated: raw.emulated === true,
    recovered: raw.recovered === true,
    note: text(raw.note).replace(/^\[[a-z_]+\] /, ""), // the code says less than the words behind it
    warnings: strings(raw.warnings),
    images: images.map((image, index) => toImage(image, index + 1, raw.size)),
  };
}

/** The generation of a result of generate_image or edit_image; `input` are the arguments of the call. */
function toResult(result, input) {
  const blocks = list(result.content);
  const structured = result.structuredContent;
  let generation;
  if (Array.isArray(structured?.images)) {
    const requested = structured.requested ?? {}; // as sent: the models name their references differently
    generation = toGeneration({ ...requested, ...structured }, list(structured.images));
    generation.references = strings(requested.images ?? requested.image).length;
  } else {
    generation = fromText(
      textOf(result),
      blocks.filter((block) => block.type === "resource_link"),
      input,
    );
  }
  const previews = blocks
    .filter((block) => block.type === "image")
    .map((block) => dataUri(block.data, block.mimeType))
    .filter(Boolean);
  // Pictures without a link are better than none.
  if (!generation.images.length) generation.images = previews.map((_, index) => toImage({}, index + 1, ""));
  if (previews.length === generation.images.length) {
    generation.images.forEach((image, index) => (image.preview = previews[index]));
  }
  if (!generation.images.length) generation.note ||= textOf(result);
  return generation;
}

/** A generation from the text and the links alone: some hosts hand over no more. */
function fromText(said, links, input) {
  const [, until] = /until(?: about)? (\d{4}-\d\d-\d\d \d\d:\d\d) UTC/.exec(said) ?? [];
  const expires_at = until ? `${until.replace(" ", "T")}Z` : "";
  const urls = [...said.matchAll(/^\d+\. (https?:\S+)(?:\n +saved as (.+))?$/gm)];
  const found = urls.length
    ? urls.map(([, url, saved_path]) => ({ url, saved_path, expires_at }))
    : links.map((link) => ({ url: link.uri, expires_at }));
  const id = /\(Generation ([0-9a-f]+);/.exec(said)?.[1] ?? "";
  const asked = /\bwith (\S+), size (\S+)\.$/m.exec(said) ?? [];
  const warnings = [...said.matchAll(/^Warning: (.+)$/gm)].map((match) => match[1]);
  const raw = {
    generation_id: id,
    prompt: input.prompt,
    size: asked[2] ?? input.size,
    model: asked[1],
    warnings,
  };
  raw.emulated = /^EMULATED/m.test(said);
  raw.recovered = said.startsWith("Recovered");
  found.forEach((image, index) => (image.resource = id && `seedream://generations/${id}/${index + 1}`));
  return { ...toGeneration(raw, found), references: strings(input.images).length };
}

/** The page of generations that a result of list_images holds. */
function toPage(result) {
  const { generations, left_out: left, more, warnings } = result.structuredContent ?? listed(textOf(result));
  return {
    generations: list(generations).map((raw) => toGeneration(raw, list(raw.images))),
    left: side(left),
    more: more === true || left > 0,
    warnings: strings(warnings),
  };
}

const ENTRY = new RegExp(
  "^(?<generation_id>[0-9a-f]+), (?<when>[\\d-]+ [\\d:]+) UTC, (?<status>[a-z]+)" +
    "(?<emulated> \\(emulated\\))?: (?<prompt>.*)$",
);

/** Whether a text is that of list_images: not every host tells the view which tool it was. */
const isListed = (said) =>
  said.split("\n").some((line) => ENTRY.test(line) || /^No (older )?generations are on record\.$/.test(line));

/** The same from the text alone. */
function listed(said) {
  const generations = [];
  for (const line of said.split("\n")) {
    const last = generations.at(-1);
    const entry = ENTRY.exec(line)?.groups;
    const image = /^ {2}(\d+)\. (\S+)( \(expired\))?$/.exec(line);
    const saved = /^ {5}saved as (.+)$/.exec(line);
    if (entry) {
      const created = `${entry.when.replace(" ", "T")}Z`;
      generations.push({ ...entry, created, emulated: Boolean(entry.emulated), images: [] });
    } else if (image && last) {
      const resource = `seedream://generations/${last.generation_id}/${image[1]}`;
      last.images.push({ url: image[2], expired: Boolean(image[3]), resource });
    } else if (saved && last?.images.length) {
      last.images.at(-1).saved_path = saved[1];
    } else if (/^ {2}\S/.test(line) && last) {
      last.note = line.trim();
    }
  }
  const left_out = Number(/^(\d+) older ones are left out here/m.exec(said)?.[1]);
  const warnings = [...said.matchAll(/^Warning: (.+)$/gm)].map((match) => match[1]);
  return { generations, left_out, more: /^To list older ones, /m.test(said), warnings };
}

/** What a failed call says: `[code] what is wrong`, then what to do, who must, whether it was billed. */
function toFailure(result) {
  const said = textOf(result);
  const line = (name) => new RegExp(`^${name}: (.+)$`, "m").exec(said)?.[1] ?? "";
  const [, code = "", problem = ""] = /^\[([a-z_]+)\] (.*)/.exec(said) ?? [];
  return {
    code,
    problem: problem || said || "The server gave no reason.",
    remedy: line("What to do"),
    who: line("Who must do it"),
    billed: line("Billed"),
    warning: line("Warning"),
  };
}
