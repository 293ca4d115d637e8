"use strict";

/** The link to a picture, which the host opens where it can. */
function openLink(image, label, say) {
  const link = el("a", {
    className: "button",
    href: image.url,
    target: "_blank",
    rel: "noopener noreferrer",
  });
  link.append(icon("open"), el("span", {}, label));
  link.addEventListener("click", async (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    if (!host.capabilities.openLinks) {
      say("If nothing opened, this host opens no links from here: copy it instead.");
      return;
    }
    event.preventDefault();
    try {
      await ask("ui/open-link", { url: image.url });
      say("Opened.");
    } catch (error) {
      say(`The host did not open the link: ${error.message}.`, true);
    }
  });
  return link;
}

/** A request that the person may have to allow first; a result that is an error counts as a refusal. */
async function ask(method, params) {
  const result = await host.bridge.request(method, params, 0);
  if (result.isError) throw new Refused("it refused");
}

/** Put `words` on the clipboard; false where nothing lets us. */
async function copy(words) {
  try {
    await navigator.clipboard.writeText(words);
    return true;
  } catch {
    return copyOldWay(words);
  }
}

function copyOldWay(words) {
  const focused = document.activeElement;
  const field = el("textarea", { value: words, className: "unseen", "aria-hidden": "true", tabIndex: -1 });
  document.body.append(field);
  field.select();
  try {
    return document.execCommand("copy");
  } finally {
    field.remove();
    focused?.focus({ preventScroll: true });
  }
}

/** Copy `words`, or show them to be copied by hand; `what` names them, `done` says that they are copied. */
async function copyOrShow(words, what, status, done = `${what} copied.`) {
  if (await copy(words)) {
    status.say(done);
    return;
  }
  status.say(`${what}, to copy by hand:`);
  const field = el("textarea", {
    value: words,
    readOnly: true,
    rows: 3,
    "aria-label": what,
    className: "by-hand",
  });
  status.append(field);
  field.select();
}

/** What can be done with a picture: the buttons, the form behind one of them, and what came of it. */
function actionsFor(image) {
  const status = statusLine();
  const explained = el("p", { className: "explained", tabIndex: -1 });
  const links = image.url
    ? [
        openLink(image, "Open", status.say),
        button("Copy link", "copy", () => copyOrShow(image.url, "Link", status)),
      ]
    : [];
  const edit = image.url ? editor(image, status) : null;
  const row = el("div", { className: "row" }, ...links, edit?.opener);
  const whole = el("div", { className: "actions" }, row, explained, edit?.form, status);
  whole.update = () => {
    const gone = expired(image);
    const focused = document.activeElement;
    for (const link of links) link.hidden = gone;
    if (edit) edit.opener.hidden = gone && !image.path;
    if (gone && edit && !image.path) edit.close();
    explained.replaceChildren(...explanationOf(image, gone));
    row.hidden = [...row.children].every((child) => child.hidden);
    explained.hidden = !explained.childNodes.length;
    // Where what had the focus is gone, it goes to the words that say why.
    if (whole.contains(focused) && !focused.checkVisibility()) explained.focus({ preventScroll: true });
  };
  everyTick(whole, whole.update);
  return whole;
}

/** The room of all that, while the picture is being made. */
function actionsToCome() {
  const names = ["open", "copy", "edit"];
  const labels = ["Open", "Copy link", "Edit this one"];
  const row = el("div", { className: "row" }, ...labels.map((label, index) => button(label, names[index])));
  return reserved(el("div", { className: "actions" }, row, el("p", { className: "status" })));
}

function explanationOf(image, gone) {
  const saved = image.path ? ["Saved as ", el("code", {}, image.path), "."] : [];
  if (!gone) return saved;
  return saved.length
    ? ["The link has expired. ", ...saved]
    : ["The link has expired, and this server saved no copy."];
}

const SILENCE = 20_000;

/** The button that opens the form "What should change?", and the form. */
function editor(image, status) {
  const id = newId("edit");
  const wish = el("textarea", { id: newId("wish"), rows: 2, onkeydown: keys });
  const send = button("Send", null, submit, { className: "button main" });
  const form = el(
    "div",
    { id, className: "edit", role: "group", "aria-label": "Edit this picture", hidden: true },
    el("label", { htmlFor: wish.id }, "What should change?"),
    wish,
    el(
      "div",
      { className: "row" },
      send,
      button("Cancel", null, () => close(true)),
    ),
  );
  const opener = button("Edit this one", "edit", () => (form.hidden ? open() : close(true)), {
    className: "button main",
    "aria-expanded": "false",
    "aria-controls": id,
  });

  let tries = 0; // an answer that comes late must not undo what was begun since

  function open() {
    form.hidden = false;
    send.disabled = false;
    opener.setAttribute("aria-expanded", "true");
    wish.focus();
  }

  function close(refocus) {
    form.hidden = true;
    opener.setAttribute("aria-expanded", "false");
    if (refocus) opener.focus();
  }

  function keys(event) {
    if (event.isComposing) return;
    if (event.key === "Escape") close(true);
    else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      submit();
    }
  }

  // Not a form's own submission: sandboxes that allow no forms drop it without a word.
  async function submit() {
    if (!wish.value.trim()) {
      status.say("Say first what should change.", true);
      wish.focus();
      return;
    }
    if (send.disabled) return;
    send.disabled = true;
    tries += 1;
    const [mine, wished] = [tries, wish.value];
    const words = editRequest(image, wished.trim());
    const late = setTimeout(() => {
      if (mine !== tries) return;
      send.disabled = false;
      offerCopy("The host has not answered. ", words, status);
    }, SILENCE);
    const done = await putIntoConversation(words, status);
    clearTimeout(late);
    if (mine !== tries) return;
    send.disabled = false;
    if (!done || wish.value !== wished) return;
    wish.value = "";
    if (!form.hidden) close(true);
  }

  return { opener, form, close };
}

/** What the conversation is told: the tool, the link byte for byte, the wish. */
const editRequest = (image, wish) =>
  `Change a picture with edit_image. In images, use this link exactly as it is:\n${image.url}\n\n` +
  `What should change: ${wish}`;

/** Hand `words` to the conversation by the best way that the host has; false where it refused. */
async function putIntoConversation(words, status) {
  const content = [{ type: "text", text: words }];
  const { message, updateModelContext } = host.capabilities;
  if (message || updateModelContext) status.say("Waiting for the host…");
  try {
    if (message) {
      await ask("ui/message", { role: "user", content });
      status.say("Sent to the conversation.");
    } else if (updateModelContext) {
      await ask("ui/update-model-context", { content });
      status.say("Noted for your next message: write “go ahead”, and the edit begins.");
    } else {
      await copyOrShow(words, "Text", status, "Copied. Paste it into the conversation.");
    }
    return true;
  } catch (error) {
    offerCopy(`The host did not take it: ${error.message}. `, words, status);
    return false;
  }
}

function offerCopy(trouble, words, status) {
  status.say(trouble, true);
  status.append(button("Copy the text instead", "copy", () => copyOrShow(words, "Text", status)));
}
