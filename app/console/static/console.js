// Parts that the server sends anew: <div data-live="/live/…">. No part, no connection; a lost one is made again by the browser.
"use strict";
for (const part of document.querySelectorAll("[data-live]")) {
  const source = new EventSource(part.dataset.live);
  source.onmessage = (event) => { part.innerHTML = JSON.parse(event.data); part.dataset.fresh = "yes"; };
  source.addEventListener("over", () => { source.close(); location.reload(); });
  addEventListener("pagehide", () => source.close());
}
