import { permissionsOf } from '#proto/bus/permissions.ts';
import { type UserName, userNames } from '#proto/contract/users.ts';

export type BusSettings = {
  host: string;
  port: number;
  /** Absolute path of the JetStream store. */
  store: string;
  passwords: Record<UserName, string>;
};

/** The configuration file of a layer's private nats-server: JetStream, and the users with their permissions. */
export function busConfiguration({ host, port, store, passwords }: BusSettings): string {
  const users = userNames.map((user) => {
    const { publish, subscribe } = permissionsOf(user);
    const permissions = { publish: { allow: publish }, subscribe: { allow: subscribe } };
    return { user, password: passwords[user], permissions };
  });
  return `${JSON.stringify(
    {
      server_name: 'terrace',
      host,
      port,
      jetstream: { store_dir: store, max_memory_store: 64 * 1024 * 1024, max_file_store: 1024 * 1024 * 1024 },
      authorization: { users },
      write_deadline: '10s',
      // Bounds the memory that a client with credentials can take with connections and subscriptions.
      max_connections: 512,
      max_subscriptions: 10_000,
    },
    null,
    2,
  )}\n`;
}
