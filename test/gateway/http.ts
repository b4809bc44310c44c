import { once } from 'node:events';
import { request } from 'node:http';
import { createConnection, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';

/** A connection that sends any bytes and collects all that it receives. */
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

/** Sends the text and resolves with everything received until the server closes the connection. */
export async function raw(port: number, text: string): Promise<string> {
  const connection = await RawConnection.open(port);
  connection.send(text);
  return connection.closed;
}

/** A GET with any Host header, which `fetch` does not allow. */
export async function get(
  port: number,
  path: string,
  headers: Record<string, string>,
): Promise<{ status: number | undefined; body: string }> {
  const sent = request({ host: '127.0.0.1', port, path, headers }).end();
  const [response] = await once(sent, 'response');
  return { status: response.statusCode, body: await text(response) };
}
