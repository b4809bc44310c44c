/** Who may say and hear what on the bus: the permissions of each service's credentials. */

export const serviceNames = ['gateway', 'storage', 'syncer', 'twin-bridge'] as const;
export type ServiceName = (typeof serviceNames)[number];

/** `operator` is the `terrace` command; `monitor` is for programs that are told what happens, and change nothing. */
export const userNames = [...serviceNames, 'operator', 'monitor'] as const;
export type UserName = (typeof userNames)[number];

/** Replies to a user's requests come below this subject, which no other user may hear. */
export const inboxOf = (user: UserName): string => `_INBOX_${user}`;

export type Permissions = { publish: string[]; denyPublish: string[]; subscribe: string[] };

/** Only whoever runs the layer changes accounts, frees the place of a child, or has storage put in order; some of it through its module twin. */
const operating = [
  'storage.token.>',
  'storage.scope.>',
  'storage.child.list',
  'storage.child.deactivate',
  'storage.garbage.>',
  'storage.scrub.>',
];

const keep = ['$JS.API.>', '$JS.ACK.>'];
const destroy = ['$JS.API.STREAM.DELETE.>', '$JS.API.STREAM.PURGE.>', '$JS.API.STREAM.MSG.DELETE.>'];

const may: Record<UserName, { publish: string[]; deny?: string[]; subscribe: string[] }> = {
  gateway: {
    publish: [
      'storage.>',
      'events.request.>',
      'below.>',
      '$KV.services.>',
      '$KV.heard.>',
      '$KV.layers.>',
      '$KV.presence.>',
    ],
    deny: [...operating, 'storage.term.>', 'storage.account.declare', 'storage.webhook.>'],
    subscribe: ['gateway.>', 'events.>', 'now.>', '$KV.configuration.>'],
  },
  storage: {
    publish: [
      'events.blob.>',
      'events.manifest.>',
      'events.tag.>',
      'events.storage.>',
      'events.account.>',
      'events.garbage.>',
      'events.scrub.>',
      'events.space.>',
      'events.history.>',
      'now.>',
      '$KV.services.>',
    ],
    subscribe: ['storage.>', '$KV.configuration.>'],
  },
  syncer: {
    publish: [
      'storage.>',
      'syncer.bandwidth.>',
      'jobs.>',
      'events.pass.>',
      'events.image.>',
      'events.transfer.>',
      'events.link.>',
      'events.webhook.>',
      'events.history.>',
      '$KV.services.>',
      '$KV.syncers.>',
      '$KV.link.>',
      '$KV.webhooks.>',
      '$KV.leases.>',
    ],
    deny: [...operating, 'storage.account.>', 'storage.child.>'],
    subscribe: ['syncer.>', 'events.>', 'below.>', '$KV.configuration.>', '$KV.leases.>', '$KV.layers.>'],
  },
  'twin-bridge': {
    publish: [
      'syncer.pass.start',
      'storage.status.>',
      'storage.account.declare',
      'storage.token.get',
      'storage.token.rotate',
      'storage.child.list',
      'storage.child.deactivate',
      'storage.garbage.collect',
      'events.configuration.>',
      '$KV.configuration.>',
      '$KV.services.>',
    ],
    subscribe: ['twin-bridge.>', 'events.>', 'below.>', '$KV.>'],
  },
  operator: {
    publish: [
      'syncer.pass.>',
      'storage.status.>',
      'storage.damage.>',
      'storage.child.list',
      'storage.outgoing.parked',
      'twin-bridge.status.>',
      ...operating,
    ],
    subscribe: ['events.>', 'below.>', '$KV.>'],
  },
  monitor: {
    publish: [
      '$JS.API.INFO',
      '$JS.API.STREAM.INFO.EVENTS',
      '$JS.API.CONSUMER.CREATE.EVENTS.>',
      '$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.*',
      '$JS.API.CONSUMER.INFO.EVENTS.*',
      '$JS.API.CONSUMER.MSG.NEXT.EVENTS.*',
      '$JS.API.CONSUMER.DELETE.EVENTS.*',
      '$JS.ACK.EVENTS.>',
    ],
    subscribe: ['events.>', 'below.>'],
  },
};

export function permissionsOf(user: UserName): Permissions {
  const { publish, deny = [], subscribe } = may[user];
  return {
    publish: user === 'monitor' ? publish : [...publish, ...keep],
    denyPublish: [...destroy, ...deny],
    subscribe: [...subscribe, `${inboxOf(user)}.>`],
  };
}
