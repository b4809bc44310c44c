import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { FILE_TIME } from '../program/assemble.ts';

/** A folder as tar: entries by name, with one time and without the names of this machine's users. */

type PackOptions = {
  file: string;
  gzip?: boolean;
  /** All entries belong to root; else to whom they belong in the folder. */
  asRoot?: boolean;
  /** Entries of the folder; default: all. */
  entries?: string[];
  /** Leading folder of all names, such as `opt/terrace`. */
  prefix?: string;
  exclude?: string[];
};

/** @returns the digest of the tar itself, before compression (image-spec, "Layer DiffID") */
export async function packFolder(
  folder: string,
  { file, gzip = false, asRoot = true, entries = ['.'], prefix = '', exclude = [] }: PackOptions,
): Promise<void> {
  await packWithDigest(folder, { file, gzip, asRoot, entries, prefix, exclude });
}

export async function packWithDigest(
  folder: string,
  { file, gzip = false, asRoot = true, entries = ['.'], prefix = '', exclude = [] }: PackOptions,
): Promise<string> {
  const tar = spawn(
    'tar',
    [
      ...['-C', folder, '--sort=name', '--format=gnu', '--numeric-owner', `--mtime=@${FILE_TIME}`],
      ...(asRoot ? ['--owner=0', '--group=0'] : []),
      ...exclude.map((path) => `--exclude=${path}`),
      ...(prefix
        ? [`--transform=flags=rSh;s,^\\./,${prefix}/,;s,^\\.$,${prefix},`]
        : ['--transform=flags=r;s,^\\./,,']),
      ...['-cf', '-', ...entries],
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const ended = new Promise<void>((resolve, reject) => {
    tar.on('error', reject);
    tar.on('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`tar of ${folder} ended with ${code}`)),
    );
  });
  const hash = createHash('sha256');
  const counted = (tar.stdout as Readable).pipe(
    new PassThrough().on('data', (part: Buffer) => hash.update(part)),
  );
  const target = createWriteStream(file);
  await (gzip ? pipeline(counted, createGzip({ level: 9 }), target) : pipeline(counted, target));
  await ended;
  return `sha256:${hash.digest('hex')}`;
}
