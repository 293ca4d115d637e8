"use strict";

const blockedOrigins = new Set();

document.addEventListener("securitypolicyviolation", ({ blockedURI }) => {
  if (webUrl(blockedURI)) blockedOrigins.add(new URL(blockedURI).origin);
});

const blocked = (image) => Boolean(image.url) && blockedOrigins.has(new URL(image.url).origin);

/**
 * A frame of the picture's ratio, which stays as large whatever comes into it, or does not.
 *
 * Tried in turn: the link, what the server can still read of it, the preview; a small frame takes the
 * preview first. In the end it says why nothing is seen.
 */
function frame(image, generation, { large = false } = {}) {
  const box = el("div", { className: large ? "frame large" : "frame tile" });
  if (large) {
    box.style.setProperty("--ratio", `${image.width || 1} / ${image.height || 1}`);
    box.style.setProperty("--number-ratio", (image.width || 1) / (image.height || 1));
  }
  if (large && expired(image) && !image.path) box.classList.add("gone");
  if (generation.status === "pending") {
    box.classList.add("pending");
    return box;
  }
  showFirst(box, image, generation, sources(image, large), large);
  return box;
}

/** The ways to get at a picture, as functions that give an address or reject. */
function sources(image, large) {
  const link = () => (expired(image) || !image.url || blocked(image) ? Promise.reject() : image.url);
  const preview = () => image.preview || Promise.reject();
  // Of an expired picture only a saved file can be read.
  const readable = image.resource.startsWith("seedream://") && (image.path || !expired(image));
  const read = (suffix) => () => (readable ? readPicture(image.resource + suffix) : Promise.reject());
  if (large) return [link, read(""), () => giveUp(image), preview];
  return [preview, link, read("/thumbnail"), () => giveUp(image)];
}

/** Neither the link nor the server gives the picture: where the clock had it expired, it has. */
function giveUp(image) {
  if (image.doubtful && !image.ended && !blocked(image)) {
    image.ended = true;
    image.onnews?.();
  }
  return Promise.reject();
}

async function showFirst(box, image, generation, ways, large) {
  for (const way of ways) {
    try {
      await load(box, await way(), image, generation, large);
      return;
    } catch {
      // The next one may do.
    }
  }
  box.replaceChildren(explanation(image, large));
}

/** Put the picture at `address` into the frame; rejected if it does not load. */
function load(box, address, image, generation, large) {
  return new Promise((resolve, reject) => {
    const img = el("img", {
      alt: large ? altOf(image, generation) : "",
      loading: large ? "eager" : "lazy",
      decoding: "async",
      draggable: false,
      onload: () => {
        img.classList.add("there");
        if (address === image.url) measure(image, img);
        resolve();
      },
      onerror: reject,
    });
    if (image.width && image.height) Object.assign(img, { width: image.width, height: image.height });
    img.src = address;
    box.replaceChildren(img);
  });
}

/** The picture itself tells its sides, where the server did not know them. */
function measure(image, img) {
  if (image.measured || !img.naturalWidth) return;
  Object.assign(image, { width: img.naturalWidth, height: img.naturalHeight, measured: true });
  image.onnews?.();
}

function explanation(image, large) {
  let words = "This picture can't be shown here.";
  if (expired(image))
    words = image.path ? "The saved picture can't be shown here." : "This picture has expired.";
  else if (blocked(image)) words = `This host does not show pictures from ${hostOf(image.url)}.`;
  else if (image.url) words = `The picture did not load from ${hostOf(image.url)}.`;
  if (!large) return el("div", { className: "missing" }, icon("picture"), expired(image) && "expired");
  const line = statusLine();
  line.say(words);
  const link = image.url && !expired(image) && openLink(image, "Open link", line.say);
  return el("div", { className: "missing" }, icon("picture"), line, link);
}
