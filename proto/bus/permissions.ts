import { inboxOf, serviceNames, type UserName, userNames } from '../contract/users.ts';

/** Who may say and hear what on the bus: the permissions of each service's credentials. */

export type Permissions = { publish: string[]; subscribe: string[] };

/** States are read and written, and events stored, by asking storage: see `store-requests.ts`. */
const reads = (...buckets: string[]) =>
  buckets.flatMap((bucket) => ['get', 'list'].map((verb) => `storage.state.${bucket}.${verb}`));
/** One that was refused because another one was first is read again. */
const writes = (...buckets: string[]) =>
  buckets.flatMap((bucket) =>
    ['get', 'put', 'swap', 'remove'].map((verb) => `storage.state.${bucket}.${verb}`),
  );
const stores = (...subjects: string[]) => subjects.map((subject) => `storage.append.${subject}`);
const history = ['storage.history.*'];

/** Nothing of it is for other accounts than this one, or for other servers. */
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

/** Only whoever runs the layer changes accounts, frees the place of a child, or has storage put in order; some of it through its module twin. */
const operating = [
  'storage.token.*',
  'storage.scope.*',
  'storage.child.list',
  'storage.child.deactivate',
  'storage.garbage.*',
  'storage.scrub.*',
];

/** What pushes and pulls, and passes, ask of content. */
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

/**
 * Only storage may say what JetStream answers or keeps, and only on its behalf does JetStream send anything anywhere:
 * see `store.ts`.
 */
const may: Record<UserName, Permissions> = {
  gateway: {
    publish: [
      ...content,
      'storage.arriving.*',
      'storage.change.*',
      'storage.account.get',
      'storage.account.status',
      'storage.audit.add',
      'storage.child.activate',
      'storage.child.check',
      'storage.child.accounts',
      'storage.child.charge',
      'storage.child.room',
      ...history,
      ...stores('events.request.>', 'below.>'),
      ...reads('configuration', 'heard', 'layers', 'presence'),
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
      'storage.term.*',
      'storage.cursor.*',
      'storage.mark.*',
      'storage.subject.*',
      'storage.base.*',
      'storage.outgoing.*',
      'storage.session.*',
      'storage.damage.*',
      'storage.webhook.*',
      'storage.job.*',
      'syncer.bandwidth.take',
      ...history,
      ...stores(
        'events.pass.>',
        'events.image.>',
        'events.transfer.>',
        'events.link.>',
        'events.webhook.>',
        'events.history.>',
      ),
      ...reads('configuration', 'link', 'webhooks', 'layers', 'presence', 'leases'),
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
      'storage.job.count',
      'twin-bridge.status.*',
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
 * Whoever is asked may say something in the inbox of whoever may ask: the id of a question is part of its subject there,
 * and nobody guesses one. The permission that nats-server has for answers (`allow_responses`) would tie it to the question,
 * but the server keeps each question for as long as an answer may take, and looks through all it keeps at every further one.
 */
export function permissionsOf(user: UserName): Permissions {
  const { publish, subscribe } = may[user];
  const inboxes = askersOf(user).map((caller) => `${inboxOf(caller)}.>`);
  return { publish: [...publish, ...inboxes], subscribe: [...subscribe, `${inboxOf(user)}.>`] };
}

const askersOf = (user: UserName): UserName[] =>
  userNames.filter((caller) => may[caller].publish.some((subject) => subject.startsWith(`${user}.`)));

const asked = new Map<string, boolean>();

/** Whether the server lets this user ask on this subject. */
export function mayAsk(user: UserName, subject: string): boolean {
  const key = `${user} ${subject}`;
  let allowed = asked.get(key);
  if (allowed === undefined) {
    allowed = may[user].publish.some((pattern) => matches(pattern, subject));
    // Most subjects are of a closed list; those of events are not.
    if (asked.size < 10_000) asked.set(key, allowed);
  }
  return allowed;
}

/** As nats-server has it: `*` stands for one token, `>` for one or more at the end. */
export function matches(pattern: string, subject: string): boolean {
  const tokens = subject.split('.');
  const parts = pattern.split('.');
  for (const [index, part] of parts.entries()) {
    if (part === '>') return tokens.length > index;
    if (index >= tokens.length || (part !== '*' && part !== tokens[index])) return false;
  }
  return parts.length === tokens.length;
}
