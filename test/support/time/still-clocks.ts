/**
 * Preloaded (`--import`), it has the clocks of a process stand still while it is paused, as those of a virtual machine
 * do: when it goes on nothing shows that time went by.
 */
const POLL_MS = 100;
/** Nothing else keeps a process from looking for so long, in ms. */
const PAUSE_MS = 4_000;

const running = performance.now.bind(performance);
const day = Date.now;
let last = running();
let paused = 0;

function look(): number {
  const now = running();
  if (now - last > PAUSE_MS) paused += now - last;
  last = now;
  return paused;
}

setInterval(look, POLL_MS).unref();
performance.now = () => running() - look();
Date.now = () => Math.round(day() - look());
