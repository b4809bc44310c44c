import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Clients } from './clients.ts';
import { digestOf } from './content.ts';
import { BLOCK, padding, tarHeader } from './tar.ts';

/** Layers whose files are compressed by themselves, with a table of contents: zstd:chunked and eStargz. */

/** Contents by name. */
export type Files = ReadonlyMap<string, Buffer>;

/** Builds an image of one layer with these files, and pushes it as zstd:chunked. */
export async function pushZstdChunked(
  clients: Clients,
  host: string,
  repository: string,
  tag: string,
  files: Files,
): Promise<void> {
  const folder = join(clients.folder, 'files');
  await rm(folder, { recursive: true, force: true });
  for (const [name, content] of files) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
  const container = await clients.buildah('from', 'scratch');
  await clients.buildah('copy', container, folder, '/srv');
  const image = `${repository}-${tag}`;
  const reproducible = ['--timestamp', '1700000000'];
  await clients.buildah('commit', '--format', 'oci', '--rm', ...reproducible, container, image);
  const compression = ['--compression-format', 'zstd:chunked'];
  const target = `docker://${host}/${repository}:${tag}`;
  await clients.buildah('push', '--tls-verify=false', ...compression, image, target);
}

const CHUNK = 64 * 1024;

/**
 * A layer in eStargz. No tool of Debian writes it.
 * @param claimed digests for the table of contents, by name, instead of the right ones
 */
export function estargz(files: Files, claimed: ReadonlyMap<string, string> = new Map()): Buffer {
  const members: Buffer[] = [];
  let size = 0;
  let open: Buffer[] = [];
  const close = () => {
    const member = gzipSync(Buffer.concat(open));
    members.push(member);
    size += member.length;
    open = [];
  };
  const entries: object[] = [];
  for (const [name, content] of files) {
    const digest = claimed.get(name) ?? digestOf(content);
    const file = {
      name,
      type: 'reg',
      size: content.length,
      modtime: '1970-01-01T00:00:00Z',
      mode: 0o644,
      digest,
    };
    open.push(tarHeader(name, content.length));
    if (content.length === 0) entries.push(file);
    for (let at = 0; at < content.length; at += CHUNK) {
      close();
      const chunk = content.subarray(at, at + CHUNK);
      const chunkDigest = claimed.get(name) ?? digestOf(chunk);
      const entry = at === 0 ? file : { name, type: 'chunk' };
      entries.push({ ...entry, offset: size, chunkOffset: at, chunkSize: chunk.length, chunkDigest });
      open.push(chunk);
    }
    open.push(padding(content.length));
  }
  close();
  const text = Buffer.from(JSON.stringify({ version: 1, entries }, null, '\t'));
  const table = [
    tarHeader('stargz.index.json', text.length),
    text,
    padding(text.length),
    Buffer.alloc(2 * BLOCK),
  ];
  return Buffer.concat([...members, gzipSync(Buffer.concat(table)), estargzFooter(size)]);
}

/** An empty gzip member whose extra field has the position of the table. */
export function estargzFooter(position: number): Buffer {
  const extra = Buffer.from(`${position.toString(16).padStart(16, '0')}STARGZ`);
  const head = Buffer.from('1f8b08040000000000ff1a0053471600', 'hex');
  return Buffer.concat([head, extra, Buffer.from('010000ffff', 'hex'), Buffer.alloc(8)]);
}

/** The footer of zstd:chunked, in a frame of its own. */
export function zstdChunkedFooter(fields: readonly number[], magic = 'GNUlInUx'): Buffer {
  const footer = Buffer.alloc(8 * fields.length + 16);
  footer.writeUInt32LE(0x184d2a50, 0);
  footer.writeUInt32LE(8 * fields.length + 8, 4);
  for (const [index, field] of fields.entries()) footer.writeBigUInt64LE(BigInt(field), 8 + 8 * index);
  footer.write(magic, footer.length - 8);
  return footer;
}
