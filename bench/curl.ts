import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Runs curl. It uses less CPU time than a client in this process, which would dominate the figures. */
export async function curl(...parameters: string[]): Promise<string> {
  const { stdout } = await execute('curl', ['-s', '-S', '--fail', '--noproxy', '*', ...parameters]);
  return stdout;
}

/** Downloads and discards the complete content, on each of several connections at once. */
export async function discard(url: string, connections = 1): Promise<void> {
  await Promise.all(Array.from({ length: connections }, () => curl('-o', '/dev/null', url)));
}

/** Uploads like podman and skopeo: POST, one PATCH with the complete blob, PUT. */
export async function upload(host: string, repository: string, file: string, digest: string): Promise<void> {
  const location = async (...parameters: string[]) =>
    new URL(
      (await curl('-o', '/dev/null', '-w', '%header{location}', ...parameters)).trim(),
      `http://${host}`,
    ).href;
  const started = await location('-X', 'POST', `http://${host}/v2/${repository}/blobs/uploads/`);
  const type = ['-H', 'Content-Type: application/octet-stream', '-H', 'Expect:'];
  const written = new URL(await location('-X', 'PATCH', ...type, '-T', file, started));
  written.searchParams.set('digest', digest);
  await curl('-X', 'PUT', '-o', '/dev/null', written.href);
}

/** As `upload`, but in this process and on one connection: for a blob that takes less time than the start of curl. */
export async function uploadSmall(
  host: string,
  repository: string,
  bytes: Uint8Array,
  digest: string,
): Promise<void> {
  const send = async (method: string, url: string | URL, body?: Uint8Array) => {
    const response = await fetch(url, {
      method,
      ...(body && { body: body as Uint8Array<ArrayBuffer> }),
      headers: { 'Content-Type': 'application/octet-stream' },
    });
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`${method} ${url}: ${response.status}`);
    return new URL(response.headers.get('location') ?? '', `http://${host}`);
  };
  const started = await send('POST', `http://${host}/v2/${repository}/blobs/uploads/`);
  const written = await send('PATCH', started, bytes);
  written.searchParams.set('digest', digest);
  await send('PUT', written);
}
