import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { type Descriptor, manifestTypes } from '#proto/oci/manifest.ts';
import { type Content, digestOf, pieces } from './content.ts';

/** What makes content piece by piece, from its beginning each time. */
export type Source = () => Iterable<Uint8Array>;

/** Plain HTTP to any registry, as the distribution-spec has it; shares no code with the services. */

type Init = NonNullable<Parameters<typeof fetch>[1]> & { headers?: Record<string, string> };

/** @param host `host:port`, or a URL, which may have `user:password@` in it */
export async function ask(host: string, path: string, init: Init = {}): Promise<Response> {
  const url = new URL(path, rootOf(host));
  url.username = '';
  url.password = '';
  return fetch(url, { ...init, headers: { ...authorization(host), ...init.headers } });
}

const rootOf = (host: string) => new URL(host.includes('://') ? host : `http://${host}`);

function authorization(host: string): Record<string, string> {
  const { username, password } = rootOf(host);
  if (!username) return {};
  const account = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { Authorization: `Basic ${Buffer.from(account).toString('base64')}` };
}

/** @throws where the status is none of those wanted; the message has what the registry said */
export async function expect(wanted: number[], asked: Promise<Response>): Promise<Response> {
  const response = await asked;
  if (wanted.includes(response.status)) return response;
  throw new Error(`${response.url}: ${response.status} ${(await response.text()).slice(0, 500)}`);
}

/** Uploads bytes at once, or content that is generated as a stream of unknown length. */
export async function pushBlob(
  host: string,
  repository: string,
  blob: Uint8Array | Content | Source,
): Promise<Descriptor> {
  const mediaType = 'application/octet-stream';
  const begun = await expect([202], ask(host, `/v2/${repository}/blobs/uploads/`, { method: 'POST' }));
  await begun.arrayBuffer();
  const type = { 'Content-Type': mediaType };
  if (blob instanceof Uint8Array) {
    const digest = digestOf(blob);
    const end = ask(host, finish(location(begun), digest), {
      method: 'PUT',
      body: blob as Uint8Array<ArrayBuffer>,
      headers: type,
    });
    await (await expect([201], end)).arrayBuffer();
    return { mediaType, digest, size: blob.byteLength };
  }
  const hash = createHash('sha256');
  let size = 0;
  const source = function* () {
    for (const piece of typeof blob === 'function' ? blob() : pieces(blob)) {
      hash.update(piece);
      size += piece.byteLength;
      yield piece;
    }
  };
  const patched = await stream(host, location(begun), source);
  const digest = `sha256:${hash.digest('hex')}`;
  await (await expect([201], ask(host, finish(patched, digest), { method: 'PUT' }))).arrayBuffer();
  return { mediaType, digest, size };
}

/** A PATCH of unknown length. By node:http, since fetch takes content faster than the registry reads it. */
async function stream(host: string, url: string, source: Source): Promise<string> {
  const headers = { ...authorization(host), 'Content-Type': 'application/octet-stream' };
  const outgoing = request(url, { method: 'PATCH', headers });
  const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>;
  // Where the registry answers and closes before the end, its answer tells more.
  const sent = pipeline(source, outgoing).catch(() => {});
  const [response] = await answered;
  const text = Buffer.concat(await response.toArray()).toString();
  if (response.statusCode !== 202) throw new Error(`${url}: ${response.statusCode} ${text.slice(0, 500)}`);
  await sent;
  return new URL(response.headers.location ?? '', url).href;
}

const location = (response: Response) => new URL(response.headers.get('Location') ?? '', response.url).href;

function finish(address: string, digest: string): string {
  const url = new URL(address);
  url.searchParams.set('digest', digest);
  return url.href;
}

export type Pushed = Descriptor & { bytes: Buffer };

/** @returns its descriptor, and whether the registry took note of the subject */
export async function pushManifest(
  host: string,
  repository: string,
  reference: string | undefined,
  mediaType: string,
  document: object,
): Promise<Pushed & { linked: boolean }> {
  const bytes = Buffer.from(JSON.stringify(document));
  const digest = digestOf(bytes);
  const headers = { 'Content-Type': mediaType };
  const path = `/v2/${repository}/manifests/${reference ?? digest}`;
  const response = await expect([201], ask(host, path, { method: 'PUT', headers, body: bytes }));
  await response.arrayBuffer();
  return { mediaType, digest, size: bytes.byteLength, bytes, linked: response.headers.has('OCI-Subject') };
}

const Accept = manifestTypes.join(', ');

/** @returns undefined where there is none */
export async function getManifest(
  host: string,
  repository: string,
  reference: string,
): Promise<Pushed | undefined> {
  const asked = ask(host, `/v2/${repository}/manifests/${reference}`, { headers: { Accept } });
  const response = await expect([200, 404], asked);
  const bytes = Buffer.from(await response.arrayBuffer());
  if (response.status === 404) return undefined;
  const digest = digestOf(bytes);
  const said = response.headers.get('Docker-Content-Digest');
  if (said !== digest) throw new Error(`${response.url}: its digest is ${digest}, the header says ${said}`);
  return { mediaType: response.headers.get('Content-Type') ?? '', digest, size: bytes.byteLength, bytes };
}

/** All of a list that comes in pages. */
async function list(host: string, path: string, field: 'tags' | 'repositories'): Promise<string[]> {
  const entries: string[] = [];
  for (let next: string | undefined = path; next; ) {
    const response = await expect([200, 404], ask(host, next));
    const body = (await response.json()) as { [name: string]: string[] | null };
    if (response.ok) entries.push(...(body[field] ?? []));
    const [, link] = /<([^>]+)>/.exec(response.headers.get('Link') ?? '') ?? [];
    next = link && new URL(link, response.url).href;
  }
  return entries.sort();
}

/** None where the repository is unknown. */
export const tagsOf = (host: string, repository: string): Promise<string[]> =>
  list(host, `/v2/${repository}/tags/list`, 'tags');

export const repositoriesOf = (host: string): Promise<string[]> => list(host, '/v2/_catalog', 'repositories');

/** Deletes what the reference names; by its digest where the registry takes no tag. */
export async function deleteManifest(host: string, repository: string, reference: string): Promise<void> {
  const remove = (name: string) => ask(host, `/v2/${repository}/manifests/${name}`, { method: 'DELETE' });
  const response = await remove(reference);
  await response.arrayBuffer();
  if (response.ok) return;
  const manifest = await getManifest(host, repository, reference);
  if (!manifest) throw new Error(`${repository}:${reference} is not there`);
  await (await expect([202], remove(manifest.digest))).arrayBuffer();
}
