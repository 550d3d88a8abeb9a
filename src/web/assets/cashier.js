// The cashier's page: ties the line to the box to the cards and the status.

import { clear, anybody, show } from "./people.js";
import { offline, picture, tick } from "./status.js";
import { listen } from "./stream.js";
import { setClock } from "./words.js";

const { events, silenceMs, build } = document.body.dataset;

listen({
  url: events,
  silenceMs: Number(silenceMs),
  onPicture(seen) {
    show(seen.present);
    picture(seen);
    document.body.toggleAttribute("data-somebody", anybody());
  },
  onPing(ping) {
    setClock(ping.now);
    tick();
    // After an update of the box the page that is open is the old one. Nobody waits while nobody is shown.
    if (ping.build !== build && !anybody()) location.reload();
  },
  onLost() {
    clear();
    offline();
    document.body.toggleAttribute("data-somebody", false);
  },
});

setInterval(tick, 1000);
