import { PasswordName, ScopeMapName, TokenName } from '#proto/accounts/accounts.ts';
import { ChildName, InstanceId } from '#proto/accounts/children.ts';
import { EpochId, PeerName } from '#proto/archive/list.ts';
import { LeftOutRecord } from '#proto/content/left-out-referrers.ts';
import { Bytes } from '#proto/contract/scalars.ts';
import { type TSchema, Type } from '#proto/contract/schema.ts';
import { matches } from '#proto/contract/schema-check.ts';
import { Digest, isDigest, isRepository, isTag } from '#proto/oci/names.ts';
import { WebhookKey, WebhookPosition } from '#proto/status/webhooks.ts';

/**
 * The rule of each kind of record: the table of keys in ../metadata/keys.ts, in a form that can be checked. Unknown
 * fields and kinds are left as they are: another version may know them.
 */

type Part = (text: string) => boolean;
type Rule = { parts: Part[]; value: TSchema };

const form = ({ pattern }: { pattern?: string }): Part => {
  const expression = new RegExp(pattern as string);
  return (text) => expression.test(text);
};
const isPeer = form(PeerName);
const number: Part = (text) => /^\d+$/.test(text);
const reference: Part = (text) => isTag(text) || isDigest(text);
const Instant = Type.Number({ minimum: 0 });
const Since = Type.Object({ since: Instant });
const Actions = Type.Array(Type.String());

const rule = (parts: Part[], value: TSchema): Rule => ({ parts, value });

const rules: Record<string, Rule> = {
  b: rule([isDigest], Type.Object({ size: Bytes })),
  r: rule([isRepository], Type.Object({})),
  l: rule([isRepository, isDigest], Type.Object({})),
  m: rule(
    [isRepository, isDigest],
    Type.Object({ mediaType: Type.String(), size: Bytes, subject: Type.Optional(Digest) }),
  ),
  f: rule([isRepository, isDigest, isDigest], Type.Object({ mediaType: Type.String(), size: Bytes })),
  t: rule([isRepository, isTag], Digest),
  T: rule(
    [isRepository, isTag],
    Type.Object({ digest: Digest, since: Instant, from: Type.String({ maxLength: 32 }) }),
  ),
  s: rule([isRepository, isTag], Digest),
  u: rule([isRepository, isDigest], Since),
  v: rule([isRepository, isDigest], Since),
  B: rule([isRepository, isTag], Type.Object({ target: Type.Union([Digest, Type.Null()]), since: Instant })),
  P: rule([isRepository, isTag], Type.Object({ digest: Type.Union([Digest, Type.Null()]) })),
  p: rule([isRepository, reference], Type.Object({ code: Type.String(), reason: Type.String() })),
  o: rule([isRepository, isDigest], Type.String()),
  n: rule(
    [isRepository, isDigest, isDigest],
    Type.Union([Type.String(), Type.Object({ platform: Type.String(), unavailable: Type.Literal(true) })]),
  ),
  q: rule([isRepository, isDigest], LeftOutRecord),
  w: rule([isDigest], Since),
  d: rule([isDigest], Type.Object({ size: Bytes, since: Instant })),
  a: rule(
    [form(TokenName)],
    Type.Object({
      enabled: Type.Boolean(),
      scopeMap: ScopeMapName,
      created: Instant,
      passwords: Type.Array(Type.Object({ name: PasswordName, hash: Type.String(), created: Instant })),
    }),
  ),
  c: rule([form(ScopeMapName)], Type.Object({ actions: Actions })),
  h: rule([form(ChildName)], Type.Object({ instance: InstanceId, since: Instant, seen: Instant })),
  k: rule([(text) => text === 'signing'], Type.String({ minLength: 1 })),
  e: rule([number], Type.Object({ type: Type.String(), data: Type.Unknown(), at: Instant })),
  y: rule([form(WebhookKey)], WebhookPosition),
  A: rule(
    [isPeer],
    Type.Object({
      version: Type.Literal(1),
      epoch: EpochId,
      since: Instant,
      bound: Type.Object({ instance: Type.String(), place: Type.String() }),
      exported: Type.Integer({ minimum: 0 }),
      acknowledged: Type.Integer({ minimum: 0 }),
      missing: Type.Array(Type.Integer()),
      lacking: Type.Array(Digest),
    }),
  ),
  S: rule(
    [isPeer, number],
    Type.Object({ created: Instant, epoch: EpochId, list: Digest, parts: Type.Integer() }),
  ),
  D: rule([isPeer, isDigest], Type.Integer({ minimum: 1 })),
  G: rule([isPeer, isRepository, isTag], Type.Array(Type.Unknown(), { minItems: 3, maxItems: 3 })),
  z: rule([number], Type.Record(Type.String(), Type.Integer())),
};

export const kindOfKey = (key: string): string => key.slice(0, key.indexOf('!'));
export const partsOfKey = (key: string): string[] => key.slice(key.indexOf('!') + 1).split('!');

export function isValid(key: string, value: unknown): boolean {
  const expected = rules[kindOfKey(key)];
  if (!expected) return true;
  const parts = partsOfKey(key);
  return (
    parts.length === expected.parts.length &&
    expected.parts.every((part, index) => part(parts[index] as string)) &&
    matches(expected.value, value)
  );
}
