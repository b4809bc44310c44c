import type { ErrorAnswer } from '#proto/api/lists.ts';

/**
 * The operator's API as the page uses it. `request.ts` sends one request, `connection.ts` knows whether the gateway
 * answers, `polled.ts` keeps answers up to date while a view shows them, `event-stream.ts` receives events, and
 * `session.ts` knows who is logged in.
 */
export const API = '/api/v1';

/** Max wait for an answer, in ms. */
const PATIENCE_MS = 15_000;

/** `status` is 0 if no answer came. `message` names the cause and the remedy. */
export class RequestError extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }

  /** The login does not suffice, or there is none. */
  get isRefusal(): boolean {
    return this.status === 401 || this.status === 403;
  }
}

/** @throws RequestError */
export async function request<T>(method: 'GET' | 'POST' | 'DELETE', path: string, body?: object): Promise<T> {
  const response = await send(method, path, body);
  const text = await response.text().catch(() => '');
  const answer = parse(text);
  if (response.ok) return answer as T;
  const [error] = (answer as ErrorAnswer | undefined)?.errors ?? [];
  throw new RequestError(
    response.status,
    error?.code ?? 'UNKNOWN',
    error?.message ?? `The gateway answers ${response.status}.`,
  );
}

export const get = <T>(path: string): Promise<T> => request<T>('GET', path);

async function send(method: string, path: string, body: object | undefined): Promise<Response> {
  try {
    return await fetch(`${API}${path}`, {
      method,
      headers: {
        accept: 'application/json',
        // Pages of other sites can't send it: proto/api/session.ts.
        ...(method !== 'GET' && { 'x-terrace-request': '1' }),
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
      cache: 'no-store',
      credentials: 'same-origin',
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  } catch {
    throw new RequestError(0, 'UNREACHABLE', 'The gateway of this layer does not answer.');
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
