import { pino } from 'pino';
import { watchLoop } from '../../services/process/watchdog.ts';

/** A program with the watchdog of a service. SIGUSR2 blocks its event loop. */
const limits = JSON.parse(process.argv[2] ?? '{}');
watchLoop(pino({ base: { layer: 'here', pid: process.pid } }), limits);
process.on('SIGUSR2', () => {
  for (;;) {
    // Never ends.
  }
});
setInterval(() => {}, 1_000);
process.stdout.write('ready\n');
