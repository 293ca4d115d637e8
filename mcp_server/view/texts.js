"use strict";

/** `count` things in words. */
const counted = (count, thing) => `${count} ${thing}${count === 1 ? "" : "s"}`;

/** What is left until `expires`, or that nothing is. */
function timeLeft(expires) {
  const minutes = Math.floor((expires - Date.now()) / 60_000);
  if (expires <= Date.now()) return "expired";
  if (minutes < 1) return "expires in less than a minute";
  const hours = Math.floor(minutes / 60);
  return `expires in ${hours ? `${hours} h ${minutes % 60} min` : `${minutes} min`}`;
}

/** What `table` has under `name`: of its own, not what every object has, like `constructor`. */
const own = (table, name) => (Object.hasOwn(table, name) ? table[name] : undefined);

const UNKNOWN = "It is not known what became of this";

const STATUS = {
  pending: "being made",
  succeeded: "",
  failed: "failed",
  unknown: "outcome unknown",
};

/** A generation's state, where it is worth saying. */
const stateOf = (generation) => own(STATUS, generation.status) ?? generation.status;

/** How large a picture is: its real sides where known, else what was asked for; so too without one. */
function sizeOf(image, generation) {
  if (image?.measured) return `${image.width} × ${image.height}`;
  const { width, height } = sides(generation.size);
  return width && height ? `${width} × ${height}` : generation.size;
}

const short = (words, most) => (words.length > most ? `${words.slice(0, most).trimEnd()}…` : words);

/** What a picture shows, for those who do not see it. */
function altOf(image, generation) {
  const which =
    generation.images.length > 1 ? `Picture ${image.number} of ${generation.images.length}` : "Picture";
  return generation.prompt ? `${which}: ${short(generation.prompt, 200)}` : which;
}

/** The host of a link. */
const hostOf = (url) => (url ? new URL(url).host : "");
