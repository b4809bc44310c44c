/**
 * Preloaded (`--import`), it stops the clocks of a process while the process is paused, like those of a paused virtual
 * machine: when the process continues, no clock shows the pause.
 */
const POLL_MS = 100;
/** Min time between polls that counts as a pause, in ms: nothing else delays a poll that long. */
const MIN_PAUSE_MS = 4_000;

const monotonicNow = performance.now.bind(performance);
const wallClockNow = Date.now;
let lastPollAt = monotonicNow();
let paused = 0;

function poll(): number {
  const now = monotonicNow();
  if (now - lastPollAt > MIN_PAUSE_MS) paused += now - lastPollAt;
  lastPollAt = now;
  return paused;
}

setInterval(poll, POLL_MS).unref();
performance.now = () => monotonicNow() - poll();
Date.now = () => Math.round(wallClockNow() - poll());
