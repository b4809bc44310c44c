import { Accounts } from '#proto/api/accounts.ts';
import { ConfigurationAnswer } from '#proto/api/configuration.ts';
import { EventItem, Events } from '#proto/api/events.ts';
import { Layer, Problem } from '#proto/api/layer.ts';
import { LAYER_BELOW, LayerBelow, Layers } from '#proto/api/layers.ts';
import { Link, Pass, Passes, Throughput } from '#proto/api/link.ts';
import { API_PATH, ErrorAnswer } from '#proto/api/lists.ts';
import { Manifest } from '#proto/api/manifests.ts';
import { LeftOut, ParkedItem } from '#proto/api/pending.ts';
import { RepositoryItem, TagItem } from '#proto/api/repositories.ts';
import { StorageStatusAnswer } from '#proto/api/storage.ts';
import { Transfers } from '#proto/api/transfers.ts';
import { type TSchema, Type } from '#proto/contract/schema.ts';
import { version } from '#proto/process/version.ts';
import { LinkStatus } from '#proto/status/status.ts';
import { SyncFigure } from '#proto/sync/sync-figure.ts';
import { type Operation, operation } from './operation/operation.ts';

/** The document of the API: OpenAPI 3.1, whose schemas are JSON Schema, as those of TypeBox are. */

/** Schemas that the document names; all others stand where they are used. */
const named: Record<string, TSchema> = {
  ...{
    Accounts,
    ConfigurationAnswer,
    ErrorAnswer,
    EventItem,
    Events,
    Layer,
    Layers,
    LeftOut,
    Link,
    LinkStatus,
  },
  ...{
    Manifest,
    ParkedItem,
    Pass,
    Passes,
    Problem,
    RepositoryItem,
    StorageStatus: StorageStatusAnswer,
    SyncFigure,
  },
  ...{ TagItem, Throughput, Transfers },
  [LAYER_BELOW]: LayerBelow,
};
const names = new Map<unknown, string>(Object.entries(named).map(([name, schema]) => [schema, name]));

/** What refusals of every operation may answer. */
const REFUSALS: Record<number, string> = {
  400: 'The request is not valid: the message names the parameter or field.',
  401: 'No valid login.',
  403: 'The login may not do this.',
  421: 'The host name is not one of this layer.',
  429: 'Too many requests or logins: try again after `Retry-After`.',
  500: 'The gateway failed: see its log.',
  503: 'Storage or the bus is unavailable: try again.',
};
const MORE_REFUSALS: Record<number, string> = {
  404: 'There is no such thing.',
  405: 'The layer has no such operation.',
  409: 'It contradicts the state of the layer.',
  412: 'It contradicts the state of the layer.',
  413: 'The body is too large.',
};

/** Statuses that an operation may answer. */
export const statusesOf = ({ answers, refusals = [], body }: Operation): number[] => [
  ...[...Object.keys(answers), ...Object.keys(REFUSALS)].map(Number),
  ...refusals,
  ...(body ? [413] : []),
];

/** Parameters of a path in the form of Fastify. */
const parametersOf = (path: string): string[] =>
  [...path.matchAll(/:(\w+)/g)].map(([, name]) => name as string);

const PATH_PARAMETERS: Record<string, string> = {
  name: 'Name of the repository. Its slashes may be written as they are.',
  reference: 'A tag or a digest.',
  child: 'Name of the child.',
};

export function openApiOf(operations: readonly Operation[]): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const one of operations) {
    const path = `${API_PATH}${one.path.replace(/:(\w+)/g, '{$1}')}`;
    paths[path] = { ...paths[path], [one.method.toLowerCase()]: methodOf(one) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Terrace',
      version: version(),
      description:
        'The API for operators of a layer. Instants are milliseconds since 1970-01-01 UTC, sizes bytes. Answers may get further fields.',
    },
    servers: [{ url: '/' }],
    security: [{ basic: [] }, { bearer: [] }, { session: [] }],
    paths,
    components: {
      schemas: Object.fromEntries(
        Object.entries(named).map(([name, schema]) => [name, jsonSchema(schema, schema)]),
      ),
      securitySchemes: {
        basic: { type: 'http', scheme: 'basic', description: 'Name and password of a token.' },
        bearer: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description: 'From /v2/token, with the scope operate:layer:read,write.',
        },
        session: {
          type: 'apiKey',
          in: 'cookie',
          name: 'terrace-session',
          description: 'From POST /api/v1/session. With TLS, its name begins with __Host-.',
        },
      },
    },
  };
}

function methodOf(one: Operation): Record<string, unknown> {
  const { path, needs, summary, query, body, answers, refusals = [], mediaType = 'application/json' } = one;
  const refused = Object.entries({ ...REFUSALS, ...(body ? { 413: MORE_REFUSALS[413] } : {}) });
  const more = refusals.map((status) => [String(status), MORE_REFUSALS[status] ?? 'Refused.']);
  const parameters = [
    ...parametersOf(path).map((name) => ({
      name,
      in: 'path',
      required: true,
      description: PATH_PARAMETERS[name],
      schema: { type: 'string' },
    })),
    ...Object.entries((query?.properties ?? {}) as Record<string, TSchema>).map(([name, schema]) => ({
      name,
      in: 'query',
      required: false,
      schema: jsonSchema(schema),
    })),
  ];
  return {
    operationId: operationIdOf(one),
    summary,
    'x-needs': needs,
    ...(needs === 'nothing' && { security: [] }),
    ...(parameters.length > 0 && { parameters }),
    ...(body && { requestBody: { content: { 'application/json': { schema: jsonSchema(body) } } } }),
    responses: Object.fromEntries([
      ...Object.entries(answers).map(([status, schema]) => [
        status,
        {
          description: String(schema.description ?? summary),
          content: { [mediaType]: { schema: jsonSchema(schema) } },
        },
      ]),
      ...[...refused, ...more].map(([status, description]) => [
        status,
        { description, content: { 'application/json': { schema: jsonSchema(ErrorAnswer) } } },
      ]),
    ]),
  };
}

const operationIdOf = ({ method, path }: Operation): string =>
  `${method.toLowerCase()}${path.replace(/(?<![/.:-])[/.:-]+(\w)/g, (_, letter: string) => letter.toUpperCase())}`;

/** Annotations that only Terrace reads. */
const OWN = new Set(['remedy', 'atStart', 'otherwise']);

/** Without what only Terrace reads; a schema with a name of its own is referred to. */
function jsonSchema(value: unknown, root?: unknown): unknown {
  const name = value === root ? undefined : names.get(value);
  if (name) return { $ref: `#/components/schemas/${name}` };
  if (Array.isArray(value)) return value.map((one) => jsonSchema(one));
  if (typeof value !== 'object' || value === null) return value;
  // A property may have such a name, too: its value is a schema.
  const isOwn = ([key, inner]: [string, unknown]) => !OWN.has(key) || typeof inner === 'object';
  const entries = Object.entries(value).filter(isOwn);
  return Object.fromEntries(entries.map(([key, inner]) => [key, jsonSchema(inner)]));
}

/** Serves the document of the operations, and of itself. */
export function openApiOperation(operations: readonly Operation[]): Operation {
  let text: string | undefined;
  const own: Operation = operation({
    method: 'GET',
    path: '/openapi.json',
    needs: 'operate/read',
    summary: 'This document.',
    answers: { 200: Type.Unknown({ description: 'OpenAPI 3.1.' }) },
    handler: async ({ reply }) => {
      text ??= JSON.stringify(openApiOf([...operations, own]));
      return reply.type('application/json').send(text);
    },
  });
  return own;
}
