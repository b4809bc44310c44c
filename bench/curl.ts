import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** curl, since it costs less than any client in this process: it would be what is measured otherwise. */
export async function curl(...words: string[]): Promise<string> {
  const { stdout } = await execute('curl', ['-s', '-S', '--fail', '--noproxy', '*', ...words]);
  return stdout;
}

/** Reads it and throws it away; several connections at once, each reading all of it. */
export async function discard(url: string, connections = 1): Promise<void> {
  await Promise.all(Array.from({ length: connections }, () => curl('-o', '/dev/null', url)));
}

/** As podman and skopeo upload: POST, one PATCH with everything, PUT. */
export async function upload(host: string, repository: string, file: string, digest: string): Promise<void> {
  const location = async (...words: string[]) =>
    new URL((await curl('-o', '/dev/null', '-w', '%header{location}', ...words)).trim(), `http://${host}`)
      .href;
  const begun = await location('-X', 'POST', `http://${host}/v2/${repository}/blobs/uploads/`);
  const type = ['-H', 'Content-Type: application/octet-stream', '-H', 'Expect:'];
  const written = new URL(await location('-X', 'PATCH', ...type, '-T', file, begun));
  written.searchParams.set('digest', digest);
  await curl('-X', 'PUT', '-o', '/dev/null', written.href);
}

/** The same in this process, on one connection: for a blob that takes less time than starting curl. */
export async function uploadSmall(
  host: string,
  repository: string,
  bytes: Uint8Array,
  digest: string,
): Promise<void> {
  const send = async (method: string, url: string | URL, body?: Uint8Array) => {
    const answer = await fetch(url, {
      method,
      ...(body && { body: body as Uint8Array<ArrayBuffer> }),
      headers: { 'Content-Type': 'application/octet-stream' },
    });
    await answer.arrayBuffer();
    if (!answer.ok) throw new Error(`${method} ${url}: ${answer.status}`);
    return new URL(answer.headers.get('location') ?? '', `http://${host}`);
  };
  const begun = await send('POST', `http://${host}/v2/${repository}/blobs/uploads/`);
  const written = await send('PATCH', begun, bytes);
  written.searchParams.set('digest', digest);
  await send('PUT', written);
}
