import type { IncomingMessage, ServerResponse } from 'node:http';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { serveHttp } from '../../http-server.ts';
import { ScriptedContent } from './content.ts';
import { ScriptedUploads } from './uploads.ts';

/**
 * A registry in memory whose deviations from the distribution-spec are scripted: `content.ts` holds what it stores,
 * `uploads.ts` its upload sessions, and this file answers requests. A `Quirk` sees each request first, and may answer
 * it, change the regular answer, or leave it alone.
 */

export type ScriptedRequest = {
  method: string;
  /** Path and query, decoded by `URL`. */
  url: URL;
  path: string;
  headers: IncomingMessage['headers'];
  body: Buffer;
  /** Name of the repository; empty for other paths. */
  repository: string;
  /** Number of requests with this method and path before this one. */
  earlier: number;
};

export type Reply = { status: number; headers?: Record<string, string | string[]>; body?: string | Buffer };

/** `drop`: the connection ends without an answer. */
export type Answered = Reply | 'drop' | undefined;

/** @param regular computes the regular answer */
export type Quirk = (request: ScriptedRequest, regular: () => Reply) => Answered | Promise<Answered>;

export type ScriptedOptions = { quirk?: Quirk; tls?: { cert: Buffer; key: Buffer } };

export async function scriptedRegistry(options: ScriptedOptions = {}): Promise<ScriptedRegistry> {
  const registry = new ScriptedRegistry(options.quirk);
  await registry.serve(options.tls);
  return registry;
}

export class ScriptedRegistry implements AsyncDisposable {
  readonly content = new ScriptedContent();
  readonly uploads = new ScriptedUploads(this.content);
  /** All requests so far, without their bodies. */
  readonly requests: (Omit<ScriptedRequest, 'body'> & { bytes: number })[] = [];
  quirk: Quirk | undefined;
  url = '';
  #server: AsyncDisposable | undefined;

  constructor(quirk: Quirk | undefined) {
    this.quirk = quirk;
  }

  async serve(tls: ScriptedOptions['tls']): Promise<void> {
    const server = await serveHttp((request, response) => void this.#answer(request, response), tls);
    this.#server = server;
    this.url = server.url;
  }

  /** Requests with this method whose path matches. */
  count(method: string, path: RegExp): number {
    return this.requests.filter((one) => one.method === method && path.test(one.path)).length;
  }

  /** Bytes of bodies received by PATCH, PUT and POST on upload paths. */
  get uploadedBytes(): number {
    return this.requests
      .filter(({ path }) => path.includes('/blobs/uploads/'))
      .reduce((sum, { bytes }) => sum + bytes, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
  }

  /** The regular answer to a GET of another path. */
  answerAt(path: string): Reply {
    const url = new URL(path, this.url);
    const repository = repositoryIn(url.pathname);
    return this.#regular({
      method: 'GET',
      url,
      path,
      headers: {},
      body: Buffer.alloc(0),
      repository,
      earlier: 0,
    });
  }

  async #answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    // A client that leaves in the middle of a body is not answered.
    const body = await incoming.toArray().then(Buffer.concat, () => undefined);
    if (!body) return void response.destroy();
    const { method = 'GET', headers } = incoming;
    const url = new URL(incoming.url ?? '/', this.url);
    const path = url.pathname;
    const repository = repositoryIn(path);
    const earlier = this.requests.filter((one) => one.method === method && one.path === path).length;
    const request = { method, url, path, headers, body, repository, earlier };
    const { body: _body, ...recorded } = request;
    this.requests.push({ ...recorded, bytes: body.length });
    const regular = () => this.#regular(request);
    const reply = (await this.quirk?.(request, regular)) ?? regular();
    if (reply === 'drop') return void response.destroy();
    const content = Buffer.from(reply.body ?? '');
    const isChunked = reply.headers?.['transfer-encoding'] !== undefined;
    const length = !isChunked && { 'content-length': content.length };
    response.writeHead(reply.status, { ...length, ...reply.headers });
    response.end(method === 'HEAD' ? undefined : content);
  }

  #regular(request: ScriptedRequest): Reply {
    const { method, path, repository, url } = request;
    if (path === '/v2/') return { status: 200, body: '{}' };
    if (path === '/v2/_catalog') {
      return this.#page(url, 'repositories', [...this.content.repositories.keys()].sort());
    }
    if (path.startsWith(`/v2/${repository}/blobs/uploads/`)) return this.uploads.answer(request);
    const known = this.content.repositories.get(repository);
    if (!known && method !== 'PUT') return notFound('NAME_UNKNOWN');
    const reference = decodeURIComponent(path.slice(path.lastIndexOf('/') + 1));
    if (path.endsWith('/tags/list')) return this.#page(url, 'tags', [...known!.tags.keys()].sort());
    if (path.includes('/referrers/')) {
      const manifests = this.content.referrers(repository, reference);
      const body = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests });
      return { status: 200, headers: { 'content-type': mediaTypes.ociIndex }, body };
    }
    if (path.includes('/manifests/')) return this.#manifest(request, reference);
    return this.#blob(request, reference);
  }

  /** Lists are cut only by the client's `n`, and continued by `last`. */
  #page(url: URL, field: string, all: string[]): Reply {
    const last = url.searchParams.get('last') ?? '';
    const size = Number(url.searchParams.get('n') ?? 10_000);
    const rest = all.filter((name) => name > last);
    const names = rest.slice(0, size);
    const next = `<${url.pathname}?n=${size}&last=${names.at(-1)}>; rel="next"`;
    return {
      status: 200,
      headers: {
        'content-type': 'application/json',
        ...(rest.length > names.length && { link: next }),
      },
      body: JSON.stringify({ name: 'x', [field]: names }),
    };
  }

  #manifest({ method, repository, headers, body }: ScriptedRequest, reference: string): Reply {
    const { manifests, tags } = this.content.of(repository);
    const digest = reference.includes(':') ? reference : (tags.get(reference) ?? '');
    if (method === 'PUT') {
      const mediaType = headers['content-type'] ?? '';
      const isTag = !reference.includes(':');
      const stored = this.content.manifest(repository, isTag ? reference : undefined, mediaType, body);
      const { subject } = JSON.parse(body.toString());
      const location = `/v2/${repository}/manifests/${stored.digest}`;
      return {
        status: 201,
        headers: {
          location,
          'docker-content-digest': stored.digest,
          ...(subject && { 'oci-subject': subject.digest }),
        },
      };
    }
    const found = manifests.get(digest);
    if (!found) return notFound('MANIFEST_UNKNOWN');
    if (method === 'DELETE') {
      if (reference === digest) manifests.delete(digest);
      for (const [tag, target] of tags)
        if (tag === reference || (reference === digest && target === digest)) tags.delete(tag);
      return { status: 202 };
    }
    const { mediaType, bytes } = found;
    return {
      status: 200,
      headers: { 'content-type': mediaType, 'docker-content-digest': digest },
      body: bytes,
    };
  }

  #blob({ method, repository, headers }: ScriptedRequest, digest: string): Reply {
    const bytes = this.content.of(repository).blobs.get(digest);
    if (!bytes) return notFound('BLOB_UNKNOWN');
    const type = { 'content-type': 'application/octet-stream', 'docker-content-digest': digest };
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
    if (first === undefined || method === 'HEAD') return { status: 200, headers: type, body: bytes };
    const end = Math.min(Number(last), bytes.length - 1);
    if (Number(first) > end) return { status: 416, headers: { 'content-range': `bytes */${bytes.length}` } };
    return {
      status: 206,
      headers: { ...type, 'content-range': `bytes ${first}-${end}/${bytes.length}` },
      body: bytes.subarray(Number(first), end + 1),
    };
  }
}

const repositoryIn = (path: string): string =>
  /^\/v2\/(.+)\/(?:manifests|blobs|tags|referrers)\//.exec(path)?.[1] ?? '';

const notFound = (code: string): Reply => refused(404, code);

/** An error of the distribution-spec. */
export const refused = (status: number, code: string, message = code): Reply => ({
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ errors: [{ code, message }] }),
});
