import { type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from 'node:http';
import { serveHttp } from '../http-server.ts';

/**
 * What becomes of addresses in answers (`Location`, `Link`) that lack the path: they get it, they stay as they are, or
 * they name the host behind the proxy.
 */
export type Rewriting = 'rewritten' | 'kept' | 'inner host';

/** A reverse proxy that serves a registry below a path, and removes the path from what it forwards. */
export class PathProxy implements AsyncDisposable {
  /** Address of the registry, with the path. */
  readonly url: string;
  /** Paths outside of the path that were requested: there is nothing. */
  readonly outside: string[];
  /** Requests that were answered from below the path, as `GET /v2/ 200`, without their queries. */
  readonly answered: string[];
  readonly #server: AsyncDisposable;

  static async start(target: string, path: string, rewriting: Rewriting = 'kept'): Promise<PathProxy> {
    const outside: string[] = [];
    const answered: string[] = [];
    const server = await serveHttp((incoming, response) => {
      const { method, headers, url = '/' } = incoming;
      if (!url.startsWith(`${path}/`)) {
        outside.push(url);
        incoming.resume();
        return void response.writeHead(404, { 'content-type': 'text/html' }).end('<html>no such page</html>');
      }
      const forwarded = { ...headers, 'x-forwarded-host': headers.host };
      const onward = request(
        `${target}${url.slice(path.length)}`,
        { method, headers: forwarded, agent: false },
        (answer) => {
          answered.push(`${method} ${url.slice(path.length).split('?')[0]} ${answer.statusCode}`);
          const changed = changedHeaders(answer.headers, rewriting, path, target);
          response.writeHead(answer.statusCode ?? 502, changed);
          answer.pipe(response);
        },
      );
      onward.on('error', () => response.destroy());
      response.on('close', () => onward.destroy());
      incoming.pipe(onward);
    });
    return new PathProxy(`${server.url}${path}`, { outside, answered }, server);
  }

  private constructor(
    url: string,
    { outside, answered }: Pick<PathProxy, 'outside' | 'answered'>,
    server: AsyncDisposable,
  ) {
    this.url = url;
    this.outside = outside;
    this.answered = answered;
    this.#server = server;
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#server[Symbol.asyncDispose]();
  }
}

function changedHeaders(
  headers: IncomingHttpHeaders,
  rewriting: Rewriting,
  path: string,
  target: string,
): OutgoingHttpHeaders {
  const { location, link } = headers;
  const before = { rewritten: path, kept: '', 'inner host': target }[rewriting];
  return {
    ...headers,
    ...(location?.startsWith('/') && { location: `${before}${location}` }),
    ...(link?.toString().startsWith('</') && { link: link.toString().replace('</', `<${before}/`) }),
  };
}
