import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { canInstallDebian, installDebian } from '../../cli/debian.ts';

/** node:test's global setup: the programs that the tests run, from Debian packages of the same names. */
const programs = [
  'nats-server',
  'skopeo',
  'podman',
  'buildah',
  'docker-registry',
  'strace',
  'nginx',
  'openssl',
];

/** Debian keeps servers where the path of a plain user doesn't look. */
const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'];
const isThere = (program: string) => folders.some((folder) => existsSync(join(folder, program)));

export function globalSetup(): void {
  const missing = programs.filter((program) => !isThere(program));
  if (missing.length === 0) return;
  const command = `apt-get install ${missing.join(' ')}`;
  if (!canInstallDebian()) throw new Error(`the tests need ${missing.join(', ')}: run "${command}" as root`);
  console.log(`Installing for the tests: ${missing.join(' ')} …`);
  const failure = installDebian(missing);
  const still = missing.filter((program) => !isThere(program));
  if (still.length > 0)
    throw new Error(`"${command}" failed: ${failure ?? `${still.join(', ')} is not there`}`);
}
