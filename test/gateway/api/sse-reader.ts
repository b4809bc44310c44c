import type { GatewayRig } from '../gateway-rig.ts';

export type SseEvent = { id?: number; name: string; data: Record<string, unknown> };

/** Reads server-sent events as a browser does. */
export class SseReader {
  readonly events: SseEvent[] = [];
  comments = 0;
  readonly status: number;
  readonly #abort = new AbortController();
  readonly closed: Promise<void>;

  static async open(
    layer: Pick<GatewayRig, 'url'>,
    query = '',
    headers: Record<string, string> = {},
  ): Promise<SseReader> {
    const abort = new AbortController();
    const response = await fetch(new URL(`/api/v1/events/stream${query}`, layer.url), {
      headers,
      signal: abort.signal,
    });
    return new SseReader(response, abort);
  }

  private constructor(response: Response, abort: AbortController) {
    this.status = response.status;
    this.#abort = abort;
    this.closed = this.#read(response).catch(() => {});
  }

  /** Events of the history that were received. */
  get sequences(): number[] {
    return this.events.flatMap(({ id, name }) => (name === 'message' && id !== undefined ? [id] : []));
  }

  end(): Promise<void> {
    this.#abort.abort();
    return this.closed;
  }

  async #read(response: Response): Promise<void> {
    let text = '';
    const decoder = new TextDecoder();
    for await (const bytes of response.body ?? []) {
      text += decoder.decode(bytes as Uint8Array, { stream: true });
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        this.#take(text.slice(0, end).split('\n'));
        text = text.slice(end + 2);
      }
    }
  }

  #take(lines: string[]): void {
    const fields = new Map(
      lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
    );
    const data = fields.get('data');
    if (data === undefined) this.comments += 1;
    else {
      const id = fields.get('id');
      const event = { name: fields.get('event') ?? 'message', data: JSON.parse(data) };
      this.events.push(id === undefined ? event : { id: Number(id), ...event });
    }
  }
}
