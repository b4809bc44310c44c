import { MAX_SMALL_ANSWER_BYTES } from '../answers/bodies.ts';
import type { EntraHttp } from '../login/entra-identity.ts';
import { makeAgent } from './agent.ts';

type EntraRequest = Parameters<EntraHttp['sendRequest']>[0];
type EntraResponse = Awaited<ReturnType<EntraHttp['sendRequest']>>;

/** Max wait for the head of an answer, and for more of its body, in ms. */
const STALL_MS = 20_000;

/**
 * HTTP for the library of Microsoft Entra identities, over connections as the link has them: its own ones ignore `ca`
 * behind a proxy. Requests are rare, so each has its own connection.
 */
export class EntraClient implements EntraHttp {
  readonly #ca: string | undefined;
  failure: unknown;

  /** @param ca certificates (PEM) to trust in addition to the machine's */
  constructor(ca: string | undefined) {
    this.#ca = ca;
  }

  async sendRequest(request: EntraRequest): Promise<EntraResponse> {
    const { url, method, body, abortSignal } = request;
    const { origin, pathname, search } = new URL(url);
    // The answer is not decoded here.
    const { 'accept-encoding': _, ...headers } = request.headers.toJSON();
    const agent = makeAgent(STALL_MS, this.#ca);
    this.failure = undefined;
    try {
      const answer = await agent.request({
        origin,
        path: `${pathname}${search}`,
        method,
        headers,
        body: typeof body === 'string' ? body : null,
        signal: (abortSignal as AbortSignal | undefined) ?? null,
      });
      const parts: Buffer[] = [];
      let size = 0;
      for await (const part of answer.body as AsyncIterable<Buffer>) {
        size += part.length;
        if (size > MAX_SMALL_ANSWER_BYTES) throw new Error(`the answer of ${origin} is too large`);
        parts.push(part);
      }
      const bodyAsText = Buffer.concat(parts).toString('utf8');
      return { request, status: answer.statusCode, headers: headersOf(answer.headers), bodyAsText };
    } catch (error) {
      this.failure = error;
      throw error;
    } finally {
      await agent.destroy();
    }
  }
}

function headersOf(received: Record<string, string | string[] | undefined>): EntraResponse['headers'] {
  const headers = new Headers();
  for (const [name, value] of Object.entries(received)) {
    if (value !== undefined) headers.set(name, [value].flat().join(', '));
  }
  const toJSON = () => Object.fromEntries(headers);
  return Object.assign(headers, { toJSON }) as unknown as EntraResponse['headers'];
}
