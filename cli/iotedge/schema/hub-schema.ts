import { type TSchema, Type } from '#proto/contract/schema.ts';
import { fields, integer, list, named, oneOf, schemaVersion, text, withRemedy } from './remedies.ts';

/** Desired properties of `$edgeHub` by `schemaVersion`, from the published schemas of deployment manifests. */

const MAX_SECONDS = 4_294_967_295;
const ROUTE = 'write FROM source INTO sink, such as FROM /messages/* INTO $upstream';
const routeText = text(ROUTE, '^.+$');

const routes = named(
  '^[^.$# ]+$',
  withRemedy(
    Type.Union([
      fields({
        route: routeText,
        priority: Type.Optional(integer(0, 9)),
        timeToLiveSecs: Type.Optional(integer(0, MAX_SECONDS)),
      }),
      routeText,
    ]),
    `${ROUTE}, or an object with the fields route, priority and timeToLiveSecs`,
  ),
  'use no . $ # or blank',
  'write an object of routes by name, {} for none',
);

const storage = (open: boolean) =>
  Type.Optional(
    fields({ timeToLiveSecs: withRemedy(Type.Integer(), 'write a whole number of seconds') }, { open }),
  );

const texts = list(text('write a string', '^.+$'), 'write a list of strings');
const policy = Type.Optional(
  list(
    fields({
      operations: Type.Optional(
        list(oneOf('mqtt:connect', 'mqtt:subscribe', 'mqtt:publish'), 'write a list of operations'),
      ),
      resources: Type.Optional(texts),
    }),
    'write a list of objects with the fields operations and resources',
  ),
);
const anyText = Type.Optional(text('write a string'));
const mqttBroker = fields({
  bridges: Type.Optional(
    list(
      fields({
        endpoint: Type.Optional(text('write $upstream', '^\\$upstream$')),
        settings: Type.Optional(
          list(
            fields({
              direction: Type.Optional(oneOf('in', 'out')),
              topic: anyText,
              inPrefix: anyText,
              outPrefix: anyText,
            }),
            'write a list of objects with the fields direction, topic, inPrefix and outPrefix',
          ),
        ),
      }),
      'write a list of objects with the fields endpoint and settings',
    ),
  ),
  authorizations: Type.Optional(
    list(
      fields({ identities: Type.Optional(texts), allow: policy, deny: policy }),
      'write a list of objects with the fields identities, allow and deny',
    ),
  ),
});

export const hubSchemas: Record<'1.0' | '1.1' | '1.2', TSchema> = {
  '1.0': fields(
    {
      schemaVersion: schemaVersion('1.0'),
      routes: named('^.+$', routeText, 'write a name', 'write an object of routes by name, {} for none'),
      storeAndForwardConfiguration: storage(true),
    },
    { open: true },
  ),
  '1.1': fields({
    schemaVersion: schemaVersion('1.1'),
    routes,
    storeAndForwardConfiguration: storage(false),
  }),
  '1.2': fields({
    schemaVersion: schemaVersion('1.2'),
    routes,
    storeAndForwardConfiguration: storage(false),
    mqttBroker: Type.Optional(mqttBroker),
  }),
};
