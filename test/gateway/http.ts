import { once } from 'node:events';
import { request } from 'node:http';
import { createConnection, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';

/** A connection on which anything can be written, and whatever comes back is kept. */
export class RawConnection {
  readonly socket: Socket;
  text = '';

  static async open(port: number): Promise<RawConnection> {
    const socket = createConnection(port, '127.0.0.1');
    await once(socket, 'connect');
    return new RawConnection(socket);
  }

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (bytes) => {
      this.text += bytes.toString('latin1');
    });
    socket.on('error', () => {});
  }

  send(text: string | Uint8Array): void {
    this.socket.write(text);
  }

  get closed(): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    if (this.socket.closed) resolve(this.text);
    else this.socket.once('close', () => resolve(this.text));
    return promise;
  }
}

/** Sends the text and resolves with all that comes until the other side closes. */
export async function raw(port: number, text: string): Promise<string> {
  const connection = await RawConnection.open(port);
  connection.send(text);
  return connection.closed;
}

/** A GET whose `Host` may be any, which fetch doesn't allow. */
export async function get(
  port: number,
  path: string,
  headers: Record<string, string>,
): Promise<{ status: number | undefined; body: string }> {
  const asked = request({ host: '127.0.0.1', port, path, headers }).end();
  const [response] = await once(asked, 'response');
  return { status: response.statusCode, body: await text(response) };
}
