import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../run-program.ts';
import { BASE, type Kind, VERSIONS } from './kind.ts';
import { applicationOf } from './node.ts';

const LAYERS = 60;
/** The uppermost layers change: what lies above a changed layer is built again. */
const CHANGED = 3;

/** An image of a base and 59 folders of packages, of which the last three have updates. */
export const layers60: Kind = {
  name: 'layers-60',
  change: 'image of 60 layers, of which the last three change',
  fill: async ({ folder, sources, version }) => {
    const [before, after] = await Promise.all(VERSIONS.map((each) => applicationOf(sources, each)));
    const [old, latest] = [join(before!, 'node_modules'), join(after!, 'node_modules')];
    const names = (await readdir(old)).filter(
      (name) => !name.startsWith('.') && existsSync(join(latest, name)),
    );
    const isChanged = await Promise.all(
      names.map(async (name) => (await versionOf(join(old, name))) !== (await versionOf(join(latest, name)))),
    );
    const groups = [
      ...divide(
        names.filter((_, at) => !isChanged[at]),
        LAYERS - 1 - CHANGED,
      ),
      ...divide(
        names.filter((_, at) => isChanged[at]),
        CHANGED,
      ),
    ];
    const lines = [`FROM ${BASE}`];
    for (const [at, group] of groups.entries()) {
      const from = version === 'v2' && at >= groups.length - CHANGED ? latest : old;
      const into = join(folder, String(at));
      await mkdir(into);
      await run('cp', ['-a', ...group.map((name) => join(from, name)), into]);
      lines.push(`COPY ${at} /app/node_modules/`);
    }
    return `${lines.join('\n')}\n`;
  },
};

/** Names, distributed over a number of lists. */
const divide = (names: string[], count: number): string[][] =>
  Array.from({ length: count }, (_, list) => names.filter((_, at) => at % count === list)).filter(
    (list) => list.length > 0,
  );

/** The version of a package; of a scope, those of nothing: its packages count as unchanged. */
async function versionOf(folder: string): Promise<string> {
  const path = join(folder, 'package.json');
  if (!existsSync(path)) return '';
  return (JSON.parse(await readFile(path, 'utf8')) as { version: string }).version;
}
