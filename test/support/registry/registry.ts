import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { type Descriptor, manifestTypes } from '#proto/oci/manifest.ts';
import { type Content, digestOf, pieces } from './content.ts';

/** Generates content piece by piece; each call starts at its beginning. */
export type Source = () => Iterable<Uint8Array>;

/** An HTTP client for any registry (distribution-spec). It shares no code with the services. */

type Init = NonNullable<Parameters<typeof fetch>[1]> & { headers?: Record<string, string> };

/** @param host `host:port`, or a URL, which may have `user:password@` in it */
export async function request(host: string, path: string, init: Init = {}): Promise<Response> {
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

/** @throws if the response has none of these statuses, with the text of the registry */
export async function expectStatus(statuses: number[], pending: Promise<Response>): Promise<Response> {
  const response = await pending;
  if (statuses.includes(response.status)) return response;
  throw new Error(`${response.url}: ${response.status} ${(await response.text()).slice(0, 500)}`);
}

/** Uploads bytes in one PUT, or generated content as a stream of unknown length. */
export async function pushBlob(
  host: string,
  repository: string,
  blob: Uint8Array | Content | Source,
): Promise<Descriptor> {
  const mediaType = 'application/octet-stream';
  const started = await expectStatus(
    [202],
    request(host, `/v2/${repository}/blobs/uploads/`, { method: 'POST' }),
  );
  await started.arrayBuffer();
  const type = { 'Content-Type': mediaType };
  if (blob instanceof Uint8Array) {
    const digest = digestOf(blob);
    const end = request(host, finishUrl(location(started), digest), {
      method: 'PUT',
      body: blob as Uint8Array<ArrayBuffer>,
      headers: type,
    });
    await (await expectStatus([201], end)).arrayBuffer();
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
  const patched = await stream(host, location(started), source);
  const digest = `sha256:${hash.digest('hex')}`;
  await (
    await expectStatus([201], request(host, finishUrl(patched, digest), { method: 'PUT' }))
  ).arrayBuffer();
  return { mediaType, digest, size };
}

/** Sends a PATCH of unknown length; with node:http, since fetch buffers content faster than the registry reads it. */
async function stream(host: string, url: string, source: Source): Promise<string> {
  const headers = { ...authorization(host), 'Content-Type': 'application/octet-stream' };
  const outgoing = httpRequest(url, { method: 'PATCH', headers });
  const responded = once(outgoing, 'response') as Promise<[IncomingMessage]>;
  // If the registry answers and closes before the end, its answer is more specific than this error.
  const sent = pipeline(source, outgoing).catch(() => {});
  const [response] = await responded;
  const text = Buffer.concat(await response.toArray()).toString();
  if (response.statusCode !== 202) throw new Error(`${url}: ${response.statusCode} ${text.slice(0, 500)}`);
  await sent;
  return new URL(response.headers.location ?? '', url).href;
}

const location = (response: Response) => new URL(response.headers.get('Location') ?? '', response.url).href;

function finishUrl(uploadUrl: string, digest: string): string {
  const url = new URL(uploadUrl);
  url.searchParams.set('digest', digest);
  return url.href;
}

export type Pushed = Descriptor & { bytes: Buffer };

/** @returns its descriptor. `linked`: the registry processed the subject */
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
  const response = await expectStatus([201], request(host, path, { method: 'PUT', headers, body: bytes }));
  await response.arrayBuffer();
  return { mediaType, digest, size: bytes.byteLength, bytes, linked: response.headers.has('OCI-Subject') };
}

const Accept = manifestTypes.join(', ');

/** @returns undefined if there is none */
export async function getManifest(
  host: string,
  repository: string,
  reference: string,
): Promise<Pushed | undefined> {
  const pending = request(host, `/v2/${repository}/manifests/${reference}`, { headers: { Accept } });
  const response = await expectStatus([200, 404], pending);
  const bytes = Buffer.from(await response.arrayBuffer());
  if (response.status === 404) return undefined;
  const digest = digestOf(bytes);
  const header = response.headers.get('Docker-Content-Digest');
  if (header !== digest)
    throw new Error(`${response.url}: its digest is ${digest}, Docker-Content-Digest is ${header}`);
  return { mediaType: response.headers.get('Content-Type') ?? '', digest, size: bytes.byteLength, bytes };
}

/** All pages of a list. */
async function list(host: string, path: string, field: 'tags' | 'repositories'): Promise<string[]> {
  const entries: string[] = [];
  for (let next: string | undefined = path; next; ) {
    const response = await expectStatus([200, 404], request(host, next));
    const body = (await response.json()) as { [name: string]: string[] | null };
    if (response.ok) entries.push(...(body[field] ?? []));
    const [, link] = /<([^>]+)>/.exec(response.headers.get('Link') ?? '') ?? [];
    next = link && new URL(link, response.url).href;
  }
  return entries.sort();
}

/** Empty if the repository is unknown. */
export const tagsOf = (host: string, repository: string): Promise<string[]> =>
  list(host, `/v2/${repository}/tags/list`, 'tags');

export const repositoriesOf = (host: string): Promise<string[]> => list(host, '/v2/_catalog', 'repositories');

/** Deletes a tag or a manifest. If the registry can't delete by tag, the manifest is deleted by its digest. */
export async function deleteManifest(host: string, repository: string, reference: string): Promise<void> {
  const remove = (name: string) => request(host, `/v2/${repository}/manifests/${name}`, { method: 'DELETE' });
  const response = await remove(reference);
  await response.arrayBuffer();
  if (response.ok) return;
  const manifest = await getManifest(host, repository, reference);
  if (!manifest) throw new Error(`${repository}:${reference} does not exist`);
  await (await expectStatus([202], remove(manifest.digest))).arrayBuffer();
}
