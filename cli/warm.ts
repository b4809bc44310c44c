import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { serviceNames } from '#proto/contract/users.ts';
import { NODE_ENV, NODE_FLAGS } from './data/node.ts';

/** Fills the compile cache with every program, so that even the first start of a layer compiles nothing. */

const root = join(import.meta.dirname, '..');

function run(...parameters: string[]): void {
  spawnSync(process.execPath, [...NODE_FLAGS, ...parameters], {
    cwd: root,
    env: NODE_ENV,
    stdio: 'ignore',
    timeout: 60_000,
  });
}

// Without settings a service exits at once, after its code was compiled.
for (const name of serviceNames) run(`services/${name}/main.ts`);
run('cli/terrace.ts', '--help');
// What is loaded on demand. All modules but these entry files only declare.
const modules = globSync('{proto,services,cli}/**/*.ts', { cwd: root }).filter(
  (file) => !/(^|\/)(main|compact|terrace|warm|watchdog-thread)\.ts$/.test(file),
);
const load = modules.map((file) => `await import(${JSON.stringify(`./${file}`)});`).join('\n');
run('--input-type=module', '--eval', load);
