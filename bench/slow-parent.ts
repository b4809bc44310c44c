import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { Pacer } from '../test/support/proxy/proxy-body.ts';
import { contentOf, digestOf } from '../test/support/registry/content.ts';

/** Size of a write, in bytes. */
const STEP = 64 * 1024;
/** Size of the part in which blobs differ, in bytes. */
const HEAD = 16;

type Sent = { path: string; start: number; bytes: number };
type Blob = { digest: string; size: number; head: Buffer };

/**
 * A registry of one image that uses little CPU time: it has its content in memory, sends each answer at a limited rate,
 * and records what it sent. Its blobs differ in their first bytes.
 */
export class SlowParent implements AsyncDisposable {
  /** Answers with content of blobs, in order. */
  sent: Sent[] = [];
  readonly size: number;
  readonly #rate: number;
  readonly #body: Buffer;
  readonly #blobs: Map<string, Blob>;
  readonly #config = Buffer.from('{}');
  readonly #manifest: Buffer;
  readonly #server = createServer((request, response) => {
    this.#answer(request, response).catch(() => response.destroy());
  });

  /** @param rate bytes a second, for each connection */
  static async start(image: { blobs: number; size: number; rate: number }): Promise<SlowParent> {
    const parent = new SlowParent(image);
    parent.#server.listen(0, '127.0.0.1');
    await once(parent.#server, 'listening');
    return parent;
  }

  private constructor({ blobs, size, rate }: { blobs: number; size: number; rate: number }) {
    this.#rate = rate;
    this.#body = contentOf({ seed: 'slow parent', size: size - HEAD });
    const list = Array.from({ length: blobs }, (_, nth) => {
      const head = Buffer.alloc(HEAD, `blob ${nth} `);
      const digest = `sha256:${createHash('sha256').update(head).update(this.#body).digest('hex')}`;
      return { digest, size, head };
    });
    this.#blobs = new Map(list.map((blob) => [blob.digest, blob]));
    const config = {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: digestOf(this.#config),
      size: 2,
    };
    const layers = list.map(({ digest }) => ({
      mediaType: 'application/vnd.oci.image.layer.v1.tar',
      digest,
      size,
    }));
    const document = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers };
    this.#manifest = Buffer.from(JSON.stringify(document));
    this.size = blobs * size;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer({ url = '', method, headers }: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = url.split('?', 1)[0] as string;
    const reference = path.slice(path.lastIndexOf('/') + 1);
    if (path === '/v2/') return void response.end('{}');
    if (path.endsWith('/tags/list'))
      return void response.end(JSON.stringify({ name: 'scaled', tags: ['v1'] }));
    if (path.includes('/manifests/') && (reference === 'v1' || reference === digestOf(this.#manifest))) {
      const length = { 'content-length': this.#manifest.length };
      const identity = {
        'content-type': mediaTypes.ociManifest,
        'docker-content-digest': digestOf(this.#manifest),
      };
      response.writeHead(200, { ...identity, ...length });
      return void response.end(method === 'HEAD' ? undefined : this.#manifest);
    }
    if (reference === digestOf(this.#config)) return void response.end(this.#config);
    const blob = this.#blobs.get(reference);
    if (blob && path.includes('/blobs/')) return this.#send(path, blob, headers.range, response);
    response.writeHead(404).end('{}');
  }

  async #send(path: string, { size, head }: Blob, range: string | undefined, response: ServerResponse) {
    const [, from = '0', to = String(size - 1)] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
    const [start, end] = [Number(from), Number(to) + 1];
    const contentRange = { 'content-range': `bytes ${start}-${end - 1}/${size}` };
    response.writeHead(range ? 206 : 200, { 'content-length': end - start, ...(range && contentRange) });
    const sent = { path, start, bytes: 0 };
    this.sent.push(sent);
    // If the client disconnects, `sent.bytes` is what it has received.
    await pipeline(this.#paced(head, sent, end), response).catch(() => {});
  }

  async *#paced(head: Buffer, sent: Sent, end: number): AsyncGenerator<Buffer> {
    const pacer = new Pacer();
    for (let at = sent.start; at < end; ) {
      const source = at < HEAD ? head.subarray(at) : this.#body.subarray(at - HEAD);
      const step = source.subarray(0, Math.min(STEP, end - at));
      await pacer.pass(step.length, this.#rate);
      yield step;
      at += step.length;
      sent.bytes += step.length;
    }
  }
}
