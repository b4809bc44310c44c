import { signal } from '@preact/signals';

/** Difference between the clock of the layer and that of the viewer, in ms: times are compared by the layer's. */
let offsetMs = 0;

/** Time of the layer, in ms since 1970; it moves once a second while the page is visible. */
export const now = signal(Date.now());

export function setLayerTime(instant: number): void {
  offsetMs = instant - Date.now();
  now.value = instant;
}

export function startClock(): void {
  const tick = () => {
    if (!document.hidden) now.value = Date.now() + offsetMs;
  };
  setInterval(tick, 1_000);
  document.addEventListener('visibilitychange', tick);
}
