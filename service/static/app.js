// The drop zone: hands files in one by one, so that each is answered for itself and a page of
// them needs no reload. Without this file the form does the same in one go.
"use strict";

const AT_ONCE = 3;

function start() {
  const form = document.getElementById("hand-in");
  if (!form) return;
  const drop = document.getElementById("drop");
  const input = document.getElementById("file");
  const text = document.getElementById("text");

  input.addEventListener("change", () => { if (input.files.length) send(form, [...input.files]); });
  form.addEventListener("submit", (event) => {
    if (input.files.length) {
      event.preventDefault();
      send(form, [...input.files]);
    } else if (text.value.trim() === "") {
      event.preventDefault();
      say("Choose a file or paste a text first.");
      text.focus();
    }
  });

  let depth = 0; // drags enter and leave every child of the page too
  const over = (on) => drop.classList.toggle("over", on);
  const carriesFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
  addEventListener("dragenter", (event) => { if (carriesFiles(event)) { depth += 1; over(true); } });
  addEventListener("dragleave", (event) => { if (carriesFiles(event)) { depth -= 1; over(depth > 0); } });
  addEventListener("dragover", (event) => { if (carriesFiles(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    depth = 0;
    over(false);
    send(form, filesOf(event.dataTransfer));
  });
}

// A folder shows up as a file that cannot be read: leave it out and say so.
function filesOf(transfer) {
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const files = items.filter((item) => {
    const entry = item.webkitGetAsEntry && item.webkitGetAsEntry();
    return !(entry && entry.isDirectory);
  }).map((item) => item.getAsFile()).filter(Boolean);
  if (files.length < items.length) refuse("A folder cannot be dropped: open it and drop the files.");
  return files;
}

async function send(form, files) {
  if (!files.length) return;
  const queue = files.slice();
  const taken = [];
  let refused = 0;
  let finished = 0;
  document.getElementById("refused").replaceChildren();
  const report = () => say(files.length === 1 ? `Handing in ${files[0].name} …` : `Handing in ${finished} of ${files.length} …`);
  report();

  async function next() {
    for (let file = queue.shift(); file; file = queue.shift()) {
      const answer = await handIn(form, file);
      taken.push(...answer.documents);
      for (const one of answer.refused) { refused += 1; refuse(`${one.name || file.name}: ${one.detail}`); }
      finished += 1;
      report();
      // dispatched on the body: the list listens there and survives being replaced
      if (answer.documents.length) document.body.dispatchEvent(new CustomEvent("handed-in"));
    }
  }
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, files.length) }, next));

  document.getElementById("file").value = "";
  if (files.length === 1 && taken.length === 1) {
    location.assign(taken[0].url);
    return;
  }
  say(`${taken.length} handed in${refused ? `, ${refused} not taken` : ""}.`);
}

async function handIn(form, file) {
  const data = new FormData();
  data.append("file", file, file.name);
  data.append("kind", new FormData(form).get("kind") || "");
  const failed = (detail) => ({ documents: [], refused: [{ name: file.name, detail }] });
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      body: data,
      headers: { Accept: "application/json", "X-CSRF-Token": form.elements.csrf_token.value },
      redirect: "error", // signed out meanwhile
    });
    const body = await answer.json();
    return answer.ok ? body : failed(body.detail || "It was not taken.");
  } catch {
    return failed("It could not be sent. Check that it is a file of bearable size and that you are signed in, then try again.");
  }
}

function say(words) { document.getElementById("progress").textContent = words; }

function refuse(words) {
  const list = document.getElementById("refused");
  const item = document.createElement("li");
  item.textContent = words;
  list.append(item);
  list.hidden = false;
}

start();
