import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Command } from 'commander';
import type { Report } from './check-pairs.ts';
import { encodersIn } from './encoders.ts';

/*
 * Proves the codec of deltas on generated pairs of blobs: `node bench/delta/fuzz/fuzz.ts`. For each pair, by the
 * encoders that run here, the delta must make the target, and a damaged delta must make it or be refused. Then hostile
 * deltas must be refused. The number of a wrong pair makes the same pair again:
 * `node bench/delta/fuzz/fuzz.ts 1 NUMBER`.
 *
 *   check-pairs.ts  checks pairs: one process for each processor
 *   encoders.ts     encoders of gzip: Node, GNU gzip, pigz, Go, pgzip, Python, and one by hand
 *   layer-pair.ts   layers and their updates
 *   hostile.ts      what hostile deltas and blobs cost
 */

const program = new Command('fuzz')
  .description('checks the codec of deltas on generated pairs, and on hostile deltas')
  .argument('[count]', 'number of pairs', Number, 10_000)
  .argument('[first]', 'number of the first pair', Number, 1)
  .option('--processes <n>', 'at once', Number, availableParallelism())
  .option('--no-hostile', 'leaves the hostile deltas out')
  .parse();
const [count, first] = program.processedArgs as [number, number];
const { processes, hostile } = program.opts<{ processes: number; hostile: boolean }>();

const started = performance.now();
const seconds = () => `${((performance.now() - started) / 1_000).toFixed(0)} s`;
const folder = mkdtempSync(join(tmpdir(), 'terrace-delta-'));
const reports: Report[] = [];
try {
  // Builds those that have to be built.
  encodersIn(folder, (name) => console.log(`${name} does not run here: left out`));
  await Promise.all(Array.from({ length: Math.min(processes, count) }, (_, at) => checkPart(at)));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const total = (field: Exclude<keyof Report, 'byEncoder'>) =>
  reports.reduce((sum, report) => sum + report[field], 0);
const names = new Set(reports.flatMap(({ byEncoder }) => Object.keys(byEncoder)));
for (const name of names) {
  const pairs = reports.reduce((sum, { byEncoder }) => sum + (byEncoder[name] ?? 0), 0);
  console.log(`${String(pairs).padStart(6)}  ${name}`);
}
const missing = count - total('pairs');
console.log(
  `${total('pairs')} pairs in ${seconds()}: ${total('wrong')} wrong, ${total('failed')} failed, ${missing} not checked; ` +
    `${total('smaller')} deltas are smaller than their target; ${total('damaged')} damaged deltas were refused`,
);
if (total('wrong') + total('failed') + missing > 0) process.exitCode = 1;
if (hostile) {
  console.log('hostile deltas and blobs:');
  const { status } = spawnSync(process.execPath, [join(import.meta.dirname, 'hostile.ts')], {
    stdio: 'inherit',
  });
  if (status !== 0) process.exitCode = 1;
  console.log(`all in ${seconds()}`);
}

/** Checks each `processes`th pair in a process of its own. */
async function checkPart(at: number): Promise<void> {
  const own = Math.ceil((count - at) / processes);
  const parameters = [folder, first + at, own, processes].map(String);
  const script = join(import.meta.dirname, 'check-pairs.ts');
  const child = spawn(process.execPath, [script, ...parameters], { stdio: ['ignore', 'pipe', 'inherit'] });
  createInterface({ input: child.stdout }).on('line', (line) => {
    reports[at] = JSON.parse(line) as Report;
    const done = reports.reduce((sum, { pairs }) => sum + pairs, 0);
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${done} of ${count} pairs`);
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) {
    process.exitCode = 1;
    console.error(`a process that checks pairs ended with ${code === null ? 'a signal' : `code ${code}`}`);
  }
}
