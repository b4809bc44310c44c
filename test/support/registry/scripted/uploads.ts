import { digestOf } from '../content.ts';
import type { ScriptedContent } from './content.ts';
import type { Reply, ScriptedRequest } from './scripted-registry.ts';

/** Upload sessions of the scripted registry (distribution-spec, "Pushing blobs"). */
export class ScriptedUploads {
  readonly #content: ScriptedContent;
  /** Bytes of each open session, by its id. */
  readonly sessions = new Map<string, Buffer>();
  #begun = 0;

  constructor(content: ScriptedContent) {
    this.#content = content;
  }

  answer({ method, repository, path, url, body, headers }: ScriptedRequest): Reply {
    if (method === 'POST') return this.#begin(repository, url);
    const id = path.slice(path.lastIndexOf('/') + 1);
    const stored = this.sessions.get(id);
    if (!stored) return refusedUpload(404, 'BLOB_UPLOAD_UNKNOWN');
    if (method === 'GET') return { status: 204, headers: this.#headers(path, stored) };
    if (method === 'DELETE') {
      this.sessions.delete(id);
      return { status: 204 };
    }
    const start = /^(?:bytes )?(\d+)-/.exec(headers['content-range'] ?? '')?.[1];
    if (start !== undefined && Number(start) !== stored.length) {
      return { ...refusedUpload(416, 'BLOB_UPLOAD_INVALID'), headers: this.#headers(path, stored) };
    }
    const bytes = Buffer.concat([stored, body]);
    if (method === 'PATCH') {
      this.sessions.set(id, bytes);
      return { status: 202, headers: this.#headers(path, bytes) };
    }
    this.sessions.delete(id);
    const digest = url.searchParams.get('digest') ?? '';
    if (digestOf(bytes) !== digest) return refusedUpload(400, 'DIGEST_INVALID');
    this.#content.of(repository).blobs.set(digest, bytes);
    return {
      status: 201,
      headers: { location: `/v2/${repository}/blobs/${digest}`, 'docker-content-digest': digest },
    };
  }

  #begin(repository: string, { searchParams }: URL): Reply {
    const digest = searchParams.get('mount');
    const source = this.#content.repositories.get(searchParams.get('from') ?? '');
    const mounted = digest && source?.blobs.get(digest);
    if (mounted) {
      this.#content.of(repository).blobs.set(digest, mounted);
      return { status: 201, headers: { location: `/v2/${repository}/blobs/${digest}` } };
    }
    this.#begun += 1;
    const id = `session-${this.#begun}`;
    this.sessions.set(id, Buffer.alloc(0));
    return { status: 202, headers: this.#headers(`/v2/${repository}/blobs/uploads/${id}`, Buffer.alloc(0)) };
  }

  #headers(location: string, { length }: Buffer): Record<string, string> {
    return { location, range: `0-${Math.max(0, length - 1)}` };
  }
}

const refusedUpload = (status: number, code: string): Reply => ({
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ errors: [{ code, message: code }] }),
});
