import { inboxOf, serviceNames, type UserName, userNames } from '../contract/users.ts';

/** Subjects that each user of the bus may publish and subscribe to: the permissions of its credentials. */

export type BusPermissions = { publish: string[]; subscribe: string[] };

/** States are read and written, and events stored, by requests to storage: `../jetstream/store-requests.ts`. */
const reads = (...buckets: string[]) =>
  buckets.flatMap((bucket) => ['get', 'list'].map((verb) => `storage.state.${bucket}.${verb}`));
/** With `get`: an entry is read again after a conditional write was refused because another writer was first. */
const writes = (...buckets: string[]) =>
  buckets.flatMap((bucket) =>
    ['get', 'put', 'swap', 'remove'].map((verb) => `storage.state.${bucket}.${verb}`),
  );
const stores = (...subjects: string[]) => subjects.map((subject) => `storage.append.${subject}`);
const history = ['storage.history.*'];

/** API of JetStream, without the parts that concern other accounts or other servers. */
const jetStream = [
  'INFO',
  'STREAM.NAMES',
  'STREAM.INFO.*',
  'STREAM.CREATE.*',
  'STREAM.UPDATE.*',
  'STREAM.PURGE.*',
  'STREAM.DELETE.*',
  'STREAM.MSG.GET.*',
  'DIRECT.GET.>',
  'CONSUMER.LIST.*',
  'CONSUMER.CREATE.>',
  'CONSUMER.DURABLE.CREATE.*.*',
  'CONSUMER.INFO.*.*',
  'CONSUMER.DELETE.*.*',
  'CONSUMER.MSG.NEXT.*.*',
].map((verb) => `$JS.API.${verb}`);

/**
 * Changes of accounts, deactivation of a child, garbage collection, scrub, backup, export and import: for the operator
 * of the layer only, some of it through the module twin.
 */
const operating = [
  'storage.token.*',
  'storage.scope.*',
  'storage.child.list',
  'storage.child.deactivate',
  'storage.garbage.*',
  'storage.scrub.*',
  'storage.backup.*',
  'storage.archive.*',
  'storage.pause.*',
];

/** What the operators' API of the gateway reads, and does for them. */
const forOperators = [
  'syncer.pass.start',
  'storage.child.deactivate',
  'storage.garbage.collect',
  'storage.scrub.run',
  'storage.outgoing.parked',
  'storage.image.describe',
  'storage.job.count',
  'storage.token.list',
  'storage.scope.list',
  'storage.child.list',
  'twin-bridge.configuration.get',
];

/** Requests about content that pushes, pulls and passes send. */
const content = [
  'storage.blob.*',
  'storage.upload.*',
  'storage.claim.*',
  'storage.manifest.*',
  'storage.tag.*',
  'storage.repository.*',
  'storage.referrer.*',
  'storage.layer.*',
  'storage.status.*',
];

/** What the operator reads of content at the command line. */
const contentReads = [
  'storage.image.describe',
  'storage.manifest.get',
  'storage.manifest.missing',
  'storage.manifest.left-out',
  'storage.referrer.list',
  'storage.blob.locate',
  'storage.blob.missing',
  'storage.delta.list',
];

/**
 * Only storage may publish on subjects that JetStream answers or stores, so JetStream sends messages on behalf of
 * storage alone: see `../jetstream/store.ts`.
 */
const may: Record<UserName, BusPermissions> = {
  gateway: {
    publish: [
      ...content,
      'storage.arriving.*',
      'storage.delta.*',
      'storage.job.submit',
      'storage.sync.*',
      'storage.change.*',
      'storage.account.get',
      'storage.account.status',
      'storage.login.*',
      'storage.audit.add',
      'storage.child.activate',
      'storage.child.check',
      'storage.child.accounts',
      'storage.child.charge',
      'storage.child.room',
      'storage.pause.*',
      ...forOperators,
      ...history,
      'twin-bridge.status.*',
      ...serviceNames.flatMap((service) => [`${service}.alive.get`, `${service}.metrics.get.*`]),
      ...stores('events.request.>', 'below.>'),
      ...reads(
        'configuration',
        'heard',
        'layers',
        'presence',
        'services',
        'syncers',
        'link',
        'webhooks',
        'leases',
      ),
      ...writes('services', 'heard', 'layers', 'presence'),
    ],
    subscribe: ['gateway.>', 'events.>', 'now.>', '$KV.configuration.>'],
  },
  storage: {
    publish: [...jetStream, '$JS.ACK.>', '$KV.>', 'events.>', 'below.>', 'jobs.>', 'now.>'],
    subscribe: ['storage.>', '$KV.configuration.>'],
  },
  syncer: {
    publish: [
      ...content,
      'storage.transfer.*',
      'storage.delta.*',
      'storage.term.*',
      'storage.cursor.*',
      'storage.mark.*',
      'storage.subject.*',
      'storage.base.*',
      'storage.behind.*',
      'storage.outgoing.*',
      'storage.session.*',
      'storage.damage.*',
      'storage.restored.*',
      'storage.webhook.*',
      'storage.job.*',
      'storage.pause.get',
      'syncer.bandwidth.take',
      ...history,
      ...stores(
        'events.pass.>',
        'events.image.>',
        'events.transfer.>',
        'events.delta.>',
        'events.link.>',
        'events.webhook.>',
        'events.history.>',
      ),
      ...reads('configuration', 'link', 'syncers', 'webhooks', 'layers', 'presence', 'leases'),
      ...writes('services', 'syncers', 'link', 'webhooks', 'leases'),
    ],
    subscribe: ['syncer.>', 'events.>', 'below.>', '$KV.configuration.>', '$KV.leases.>', '$KV.layers.>'],
  },
  'twin-bridge': {
    publish: [
      'syncer.pass.start',
      'storage.status.*',
      'storage.account.declare',
      'storage.audit.add',
      'storage.token.get',
      'storage.token.rotate',
      'storage.child.list',
      'storage.child.deactivate',
      'storage.garbage.collect',
      'storage.pause.*',
      ...history,
      ...stores('events.configuration.>'),
      ...reads('configuration', 'link', 'syncers', 'layers', 'presence'),
      ...writes('configuration', 'services'),
    ],
    subscribe: ['twin-bridge.>', 'events.>', 'below.>', '$KV.>'],
  },
  operator: {
    publish: [
      'syncer.pass.start',
      'storage.status.*',
      'storage.damage.*',
      'storage.outgoing.parked',
      'storage.sync.*',
      'storage.job.count',
      ...contentReads,
      'twin-bridge.status.*',
      'twin-bridge.configuration.get',
      ...serviceNames.map((service) => `${service}.alive.get`),
      ...operating,
      ...history,
      ...reads('configuration', 'services', 'syncers', 'link', 'webhooks', 'layers', 'presence', 'leases'),
    ],
    subscribe: ['events.>', 'below.>', '$KV.>'],
  },
  monitor: {
    publish: history,
    subscribe: ['events.>', 'below.>'],
  },
};

/**
 * A responder may publish into the inboxes of all users that may send it requests: the reply subject contains the id of
 * the request, which can't be guessed. The permission `allow_responses` of nats-server would allow answers only, but
 * the server then stores each request for as long as an answer may take, and scans all stored ones at every further
 * request.
 */
export function permissionsOf(user: UserName): BusPermissions {
  const { publish, subscribe } = may[user];
  const inboxes = callersOf(user).map((caller) => `${inboxOf(caller)}.>`);
  return { publish: [...publish, ...inboxes], subscribe: [...subscribe, `${inboxOf(user)}.>`] };
}

const callersOf = (user: UserName): UserName[] =>
  userNames.filter((caller) => may[caller].publish.some((subject) => subject.startsWith(`${user}.`)));

const decisions = new Map<string, boolean>();

/** Whether the server permits this user to send requests on this subject. */
export function mayAsk(user: UserName, subject: string): boolean {
  const key = `${user} ${subject}`;
  let allowed = decisions.get(key);
  if (allowed === undefined) {
    allowed = may[user].publish.some((pattern) => matches(pattern, subject));
    // Bounded: most subjects are from a closed list, but subjects of events are not.
    if (decisions.size < 10_000) decisions.set(key, allowed);
  }
  return allowed;
}

/** Matches as nats-server does: `*` stands for one token, `>` for one or more at the end. */
export function matches(pattern: string, subject: string): boolean {
  const tokens = subject.split('.');
  const parts = pattern.split('.');
  for (const [index, part] of parts.entries()) {
    if (part === '>') return tokens.length > index;
    if (index >= tokens.length || (part !== '*' && part !== tokens[index])) return false;
  }
  return parts.length === tokens.length;
}
