import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../run-program.ts';
import { packageFiles } from '../sources/debian.ts';
import { stateOf } from './distribution.ts';
import { BASE, type Kind } from './kind.ts';

/** Some of them have updates. */
const PACKAGES = [
  'python3-aiohttp',
  'python3-cryptography',
  'python3-django',
  'python3-jinja2',
  'python3-lxml',
  'python3-numpy',
  'python3-pandas',
  'python3-pil',
  'python3-requests',
  'python3-scipy',
  'python3-sqlalchemy',
  'python3-yaml',
];

/** Packages in a virtual environment; as pip does, all are installed again and compiled, with the times of today. */
export const pythonPackages: Kind = {
  name: 'python-packages',
  change: 'site-packages, some updated, all times new',
  fill: async ({ folder, sources, version }) => {
    const files = await packageFiles(sources, 'python-packages', PACKAGES, stateOf(version));
    const into = join(folder, 'venv/lib/python3.11/site-packages');
    await mkdir(into, { recursive: true });
    await cp(join(files, 'usr/lib/python3/dist-packages'), into, { recursive: true, verbatimSymlinks: true });
    await run('python3.11', ['-m', 'compileall', '-q', '-j', '1', into]).catch(ignoreUncompiled);
    await mkdir(join(folder, 'src'));
    await writeFile(join(folder, 'src/main.py'), `print('${version}')\n`);
    return `FROM ${BASE}\nCOPY venv /opt/venv\nCOPY src /app\n`;
  },
};

/** Packages have files for other versions of Python, which don't compile. */
function ignoreUncompiled(error: Error): void {
  if (!/SyntaxError|invalid|Error compiling/.test(error.message)) throw error;
}
