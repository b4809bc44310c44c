import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import type { Descriptor } from '#proto/oci/manifest.ts';
import type {
  Reply,
  ScriptedRegistry,
  ScriptedRequest,
} from '../../../support/registry/scripted/scripted-registry.ts';
import type { About, Named, Row } from '../parent-rig.ts';

/** Proxies that compress blobs, and ranges that are answered in other forms: the bytes decide. */

const ALL = ['image', 'config', 'gzip', 'plain'];

/** An image with a layer that is a gzip file, and one of text, each of several pieces. */
function content({ content: stored }: ScriptedRegistry): Named {
  const first = stored.image('app', undefined);
  const text = `${first.digest} `.repeat(20_000);
  const image = stored.image('app', 't', { layers: [gzipSync(text), text] });
  const [gzip, plain] = image.layers as [Descriptor, Descriptor];
  return { image, config: image.config, gzip, plain };
}

const isBlob = ({ path, method }: ScriptedRequest) => path.includes('/blobs/') && method === 'GET';
const CHUNKED = { 'transfer-encoding': 'chunked' };

/** Good answers with blobs become other ones. `all`: the complete blob, for any request. */
const blobs = (
  name: string,
  change: (regular: Reply, all: Buffer) => Reply,
  row: Partial<Row> = {},
): Row => ({
  name,
  content,
  quirk: (request: ScriptedRequest, { regular, registry }: About) => {
    const reply = regular();
    if (!isBlob(request) || reply.status >= 300) return undefined;
    return change(reply, Buffer.from(registry.answerAt(request.path).body ?? ''));
  },
  has: ALL,
  ...row,
});

const encoded = (encoding: string, body: Buffer, more: Record<string, string> = {}): Reply => ({
  status: 200,
  headers: { 'content-type': 'application/octet-stream', 'content-encoding': encoding, ...more },
  body,
});

const withRange = (value: string | undefined) => (regular: Reply) => {
  const { 'content-range': range, ...headers } = regular.headers ?? {};
  const given = value?.replace('RANGE', String(range).replace('bytes ', ''));
  return {
    ...regular,
    headers: { ...headers, ...(given !== undefined && range && { 'content-range': given }) },
  };
};

export const rows: Row[] = [
  blobs('a proxy compresses blobs', (_, all) => encoded('gzip', gzipSync(all))),
  blobs(
    'a proxy compresses blobs, and sends no length',
    (_, all) => encoded('gzip', gzipSync(all), CHUNKED),
    {
      // By its first bytes, text in a gzip file may be a layer that is sent as it is: the passes find out.
      passes: 3,
    },
  ),
  blobs('a proxy compresses blobs with brotli', (_, all) => encoded('br', brotliCompressSync(all), CHUNKED)),
  blobs('a proxy compresses blobs with zstd', (_, all) => encoded('zstd', zstdCompressSync(all), CHUNKED)),
  blobs('a proxy compresses each range', (regular) => ({
    ...regular,
    headers: { ...regular.headers, 'content-encoding': 'gzip' },
    body: gzipSync(regular.body ?? ''),
  })),
  blobs('blobs that a header calls compressed, without a length', (_, all) => encoded('gzip', all, CHUNKED)),
  blobs('blobs that a header calls compressed in an unknown way', (_, all) => encoded('aws-chunked', all)),
  blobs('ranges without Content-Range', withRange(undefined)),
  blobs('all of a blob in place of a range, as 206 without Content-Range', (_, all) => ({
    status: 206,
    body: all,
  })),
  blobs('Content-Range without a unit', withRange('RANGE')),
  blobs('Content-Range in upper case', withRange('Bytes RANGE')),
];
