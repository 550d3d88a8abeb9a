// The cashier's page: ties the line to the box to the cards and the status.

import "./entry.js";
import { anybody, clear, show } from "./people.js";
import { offline, picture, tick } from "./status.js";
import { listen } from "./stream.js";
import { setClock } from "./words.js";

const page = document.body.dataset;

listen({
  url: page.events,
  silenceMs: Number(page.silenceMs),
  onPicture(seen) {
    show(seen.present);
    picture(seen);
    document.body.toggleAttribute("data-somebody", anybody());
  },
  onPing(ping) {
    setClock(ping.now);
    tick();
    // After an update of the box the page that is open is the old one. Nobody waits while nobody is shown.
    if (ping.build !== page.build && !anybody()) location.reload();
  },
  onLost() {
    clear();
    offline();
    document.body.toggleAttribute("data-somebody", false);
  },
});

setInterval(tick, 1000);
