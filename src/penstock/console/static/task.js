// Keeps a task's page up to date: replaces the regions that changed, follows the logs, counts the time.
"use strict";

const seen = (name) => document.getElementById(name);

function atEnd(box) {
  return box.scrollHeight - box.scrollTop - box.clientHeight < 24;
}

function followLogs() {
  const box = document.querySelector(".logs");
  if (box) box.scrollTop = box.scrollHeight;
}

function replace({ region, mark, html }) {
  const place = seen(region);
  if (!place || place.dataset.mark === mark) return;
  const logs = place.querySelector(".logs");
  const follows = !logs || atEnd(logs);
  const top = logs ? logs.scrollTop : 0;
  const open = place.contains(document.activeElement) ? document.activeElement.className : null;
  place.innerHTML = html; // from this gateway, which escapes everything in it
  place.dataset.mark = mark;
  if (region === "logs") {
    const now = place.querySelector(".logs");
    if (now) now.scrollTop = follows ? now.scrollHeight : top;
  }
  if (open) place.querySelector(`.${CSS.escape(open)}`)?.focus();
  prepare(place);
  if (region === "head") {
    document.title = `${place.querySelector(".badge").textContent} · ${place.querySelector("h1").textContent}`;
  }
}

function follow(url) {
  const stream = new EventSource(url);
  stream.addEventListener("region", (event) => replace(JSON.parse(event.data)));
  stream.addEventListener("end", () => stream.close());
}

function inWords(seconds) {
  if (seconds < 60) return `${seconds.toFixed(0)} s`;
  const [minutes, rest] = [Math.floor(seconds / 60), Math.floor(seconds % 60)];
  return minutes < 60 ? `${minutes} min ${String(rest).padStart(2, "0")} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function tick() {
  for (const place of document.querySelectorAll("[data-ticks]")) {
    place.textContent = inWords(Math.max(0, Date.now() / 1000 - Number(place.dataset.ticks)));
  }
}

function prepare(root) {
  for (const button of root.querySelectorAll("[data-copy]")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy id"), 1500);
    });
  }
}

prepare(document);
followLogs();
if (document.body.dataset.live) {
  follow(document.body.dataset.live);
  setInterval(tick, 1000);
}
