// The line to the box: pictures as they come, and certainty about whether the line is alive.
//
// A card that stays after its person left is the worst this page can do, so silence counts as loss: the box
// sends a sign of life every few seconds, and a half-open connection never reports an error by itself.

const GRACE_MS = 3000;
const AGAIN_MS = 2000;

export function listen({ url, silenceMs, onPicture, onPing, onLost }) {
  let source = null;
  let heard = stamp();
  let grace = null;
  let again = null;
  let lost = false;

  function open() {
    clearTimeout(again);
    again = null;
    source?.close();
    heard = stamp();
    source = new EventSource(url);
    source.addEventListener("counter", (event) => {
      alive();
      onPicture(JSON.parse(event.data));
    });
    source.addEventListener("ping", (event) => {
      heard = stamp();
      onPing(JSON.parse(event.data));
    });
    source.addEventListener("error", () => {
      grace ??= setTimeout(lose, GRACE_MS);
      // After an HTTP error the browser gives up; after a broken connection it tries again by itself.
      if (source.readyState === EventSource.CLOSED) again ??= setTimeout(open, AGAIN_MS);
    });
  }

  function alive() {
    heard = stamp();
    clearTimeout(grace);
    grace = null;
    lost = false;
  }

  function lose() {
    if (!lost) onLost();
    lost = true;
  }

  function look() {
    if (silentFor(heard) <= silenceMs || again !== null) return;
    lose();
    open();
  }

  setInterval(look, Math.min(1000, silenceMs / 4));
  document.addEventListener("visibilitychange", look);
  window.addEventListener("pageshow", look);
  open();
}

// Two clocks, since one may stand still while the machine sleeps and the other may be set back.
const stamp = () => ({ steady: performance.now(), wall: Date.now() });

const silentFor = (since) => Math.max(performance.now() - since.steady, Date.now() - since.wall);
