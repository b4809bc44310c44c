import { createHash } from 'node:crypto';
import type { Static } from '#proto/contract/schema.ts';
import { MAX_MANIFEST_BYTES, type ManifestDocument, manifestTypes } from '#proto/oci/manifest.ts';
import type { Blob, Image } from './image.ts';

/** What container clients and operators ask of a registry, by HTTP. A registry is named by its URL. */

/** Max time for one request with its body, in ms. */
const MAX_REQUEST_MS = 120_000;

/** Pushes the blobs of an image, then its manifest. */
export async function push(registry: string, repository: string, tag: string, image: Image): Promise<void> {
  for (const blob of [image.config, ...image.layers]) await pushBlob(registry, repository, blob);
  const { mediaType, bytes } = image.manifest;
  await ask(201, `${registry}/v2/${repository}/manifests/${tag}`, {
    method: 'PUT',
    headers: { 'content-type': mediaType },
    body: new Uint8Array(bytes),
  });
}

async function pushBlob(registry: string, repository: string, { digest, bytes }: Blob): Promise<void> {
  const opened = await ask(202, `${registry}/v2/${repository}/blobs/uploads/`, { method: 'POST' });
  const location = new URL(opened.headers.get('location') ?? '', registry);
  location.searchParams.set('digest', digest);
  await ask(201, location.href, {
    method: 'PUT',
    headers: { 'content-type': 'application/octet-stream' },
    body: new Uint8Array(bytes),
  });
}

/** Pulls an image with all its blobs. @returns digest of its manifest @throws if content is not that of its digest */
export async function pull(registry: string, repository: string, tag: string): Promise<string> {
  const answer = await ask(200, `${registry}/v2/${repository}/manifests/${tag}`, {
    headers: { accept: manifestTypes.join(', ') },
  });
  const manifest = await read(answer.body, MAX_MANIFEST_BYTES);
  const { config, layers = [] } = JSON.parse(manifest.text) as Static<typeof ManifestDocument>;
  for (const { digest, size } of [...(config ? [config] : []), ...layers]) {
    const blob = await ask(200, `${registry}/v2/${repository}/blobs/${digest}`);
    const received = await read(blob.body, size, false);
    if (received.digest !== digest)
      throw new Error(`${digest} of ${repository}:${tag} arrived as ${received.digest}`);
  }
  return manifest.digest;
}

/** @param keep whether the text is needed */
async function read(body: ReadableStream<Uint8Array> | null, maxBytes: number, keep = true) {
  const hash = createHash('sha256');
  const kept: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body ?? []) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new Error(`an answer has more than ${maxBytes} bytes`);
    hash.update(chunk);
    if (keep) kept.push(chunk);
  }
  return { digest: `sha256:${hash.digest('hex')}`, text: Buffer.concat(kept).toString() };
}

/** @throws for another status */
async function ask(status: number, url: string, request: RequestInit = {}): Promise<Response> {
  const answer = await fetch(url, { ...request, signal: AbortSignal.timeout(MAX_REQUEST_MS) });
  if (answer.status === status) return answer;
  throw new Error(`${request.method ?? 'GET'} ${url} was answered ${answer.status}, not ${status}`);
}

/** Bytes of blobs that have crossed the link of a layer: for the first time in each direction, and again in either. */
export type Crossed = { down: number; up: number; again: number };

/** As the metrics of the layer count them. */
export async function crossed(layer: string): Promise<Crossed> {
  const { text } = await read((await ask(200, `${layer}/metrics`)).body, MAX_MANIFEST_BYTES);
  const bytes = { down: 0, up: 0, again: 0 };
  for (const [, labels = '', value] of text.matchAll(/^terrace_transfer_bytes_total\{(.*)\} (\S+)/gm)) {
    const kind = /kind="([^"]+)"/.exec(labels)?.[1];
    const direction = labels.includes('direction="down"') ? 'down' : 'up';
    if (kind === 'again') bytes.again += Number(value);
    else if (kind === 'new' || kind === 'cut-through') bytes[direction] += Number(value);
  }
  return bytes;
}

/** How a layer stands against its parent: a `SyncState`. */
export async function syncState(layer: string): Promise<string> {
  const { text } = await read((await ask(200, `${layer}/api/v1/layer`)).body, MAX_MANIFEST_BYTES);
  return (JSON.parse(text) as { sync?: { state: string } }).sync?.state ?? 'unknown';
}
