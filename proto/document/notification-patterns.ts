import type { TSchema } from '@sinclair/typebox';
import { manifestCommitted, manifestDeleted, tagDeleted, tagMoved } from '../content/content-events.ts';
import { check } from '../contract/contract.ts';
import type { Envelope } from '../contract/envelope.ts';
import { isDigest, isTag } from '../oci/names.ts';
import { isRepositoryPattern } from '../oci/repository-pattern.ts';

/**
 * Pattern that selects events of content, in the syntax of Azure Container Registry's connected registries:
 *
 *   pattern  := artifact ":" action
 *   artifact := name [ ":" tag ] [ "@" digest ]       name   := a repository, prefix/* or *
 *   action   := push | delete | *                     tag, digest := one of these, or *
 *
 * An event is about a tag (moved to a digest, or deleted) or about a manifest (added to the repository, or deleted). A
 * pattern with a name only selects both kinds; with a tag, events about tags; with a digest, events about manifests;
 * with both, events about this tag and this digest. Pure.
 */
export type NotificationPattern = {
  name: string;
  tag?: string;
  digest?: string;
  action: NotificationAction | '*';
};
export type NotificationAction = 'push' | 'delete';
/** Artifact that an event is about, and what happened to it. */
export type Artifact = { name: string; tag?: string | undefined; digest: string; action: NotificationAction };

const ACTIONS: readonly string[] = ['push', 'delete', '*'];

/** Parses a pattern; undefined if it is invalid. */
export function readNotificationPattern(text: string): NotificationPattern | undefined {
  const end = text.lastIndexOf(':');
  const action = text.slice(end + 1);
  if (end < 1 || !ACTIONS.includes(action)) return undefined;
  const [reference = '', digest, ...rest] = text.slice(0, end).split('@');
  const colon = reference.indexOf(':');
  const name = colon < 0 ? reference : reference.slice(0, colon);
  const tag = colon < 0 ? undefined : reference.slice(colon + 1);
  if (rest.length > 0 || !isRepositoryPattern(name)) return undefined;
  if (tag !== undefined && tag !== '*' && !isTag(tag)) return undefined;
  if (digest !== undefined && digest !== '*' && !isDigest(digest)) return undefined;
  return {
    name,
    ...(tag !== undefined && { tag }),
    ...(digest !== undefined && { digest }),
    action: action as NotificationPattern['action'],
  };
}

/** Whether one of the patterns selects the artifact; invalid patterns select nothing. */
export function selects(patterns: readonly string[], artifact: Artifact): boolean {
  return patterns.some((text) => {
    const pattern = readNotificationPattern(text);
    return pattern !== undefined && fits(pattern, artifact);
  });
}

function fits({ name, tag, digest, action }: NotificationPattern, artifact: Artifact): boolean {
  if (action !== '*' && action !== artifact.action) return false;
  if (name.endsWith('/*') ? !artifact.name.startsWith(name.slice(0, -1)) : !isOrAny(name, artifact.name)) {
    return false;
  }
  if (tag !== undefined && (artifact.tag === undefined || !isOrAny(tag, artifact.tag))) return false;
  if (digest === undefined) return true;
  return (tag !== undefined || artifact.tag === undefined) && isOrAny(digest, artifact.digest);
}

const isOrAny = (wanted: string, actual: string): boolean => wanted === '*' || wanted === actual;

const contents = new Map(
  [tagMoved, tagDeleted, manifestCommitted, manifestDeleted].map((event) => [`terrace.${event.type}`, event]),
);

/** Artifact that an event of content is about; undefined for any other event, and for one that can't be read. */
export function artifactOf({ type, data }: Pick<Envelope, 'type' | 'data'>): Artifact | undefined {
  const event = contents.get(type);
  if (!event || !isOf(event.data, data)) return undefined;
  const { repository, tag, digest = '', from = '' } = data as Record<string, string>;
  const action = event === tagMoved || event === manifestCommitted ? 'push' : 'delete';
  return { name: repository as string, tag, digest: event === tagDeleted ? from : digest, action };
}

function isOf(schema: TSchema, data: unknown): boolean {
  try {
    check(schema, data);
    return true;
  } catch {
    return false;
  }
}
