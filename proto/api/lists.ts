import { type Static, type TSchema, Type } from '../contract/schema.ts';

/**
 * The operator's API `/api/v1`: schemas of its answers and bodies, one file for each noun. The gateway answers with
 * them, the page reads them, and `/api/v1/openapi.json` is made from them. Instants are milliseconds since 1970-01-01
 * UTC, sizes bytes. An answer may get further fields, so its readers ignore unknown ones; a body with unknown fields is
 * refused.
 *
 * `layer.ts` has the layer and its problems, `link.ts` the link, its passes and its throughput, `transfers.ts` what
 * crosses it, `layers.ts` the layers below, `repositories.ts` and `manifests.ts` content, `pending.ts` what is parked
 * or left out, `storage.ts` storage, `events.ts` the history, `accounts.ts` and `configuration.ts` settings,
 * `session.ts` logins, `actions.ts` what an operator may do, and this file what lists and errors have in common.
 */

/** Path of the API, in every gateway. */
export const API_PATH = '/api/v1';

/** Max and default number of entries in one answer. */
export const MAX_LIMIT = 1_000;
export const DEFAULT_LIMIT = 100;

export const Cursor = Type.String({
  minLength: 1,
  maxLength: 1_024,
  description: 'Position in a list, as `next` of the previous answer. Opaque.',
});

/** One page of a list. */
export const listOf = <T extends TSchema>(items: T, description: string) =>
  Type.Object(
    {
      items: Type.Array(items, { maxItems: MAX_LIMIT, description: 'Entries of this page.' }),
      next: Type.Optional(Cursor),
    },
    { description: `${description} \`next\` is absent on the last page.` },
  );

/** Answer to every request that is refused or fails. */
export const ErrorAnswer = Type.Object(
  {
    errors: Type.Array(
      Type.Object({
        code: Type.String({
          maxLength: 64,
          description: 'Code of the error, as in the registry API (docs/reference/faults.md).',
        }),
        message: Type.String({
          maxLength: 8_192,
          description: 'Cause and remedy, in one sentence that names the field.',
        }),
        detail: Type.Optional(Type.Unknown({ description: 'Further facts; depends on the code.' })),
      }),
      { minItems: 1, maxItems: 16 },
    ),
  },
  { description: 'The request is refused, or failed.' },
);
export type ErrorAnswer = Static<typeof ErrorAnswer>;
