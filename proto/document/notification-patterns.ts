import { isDigest, isTag } from '../oci/names.ts';
import { isPattern } from '../oci/repository-pattern.ts';

/**
 * Which events of content are told, as Azure Container Registry's connected registries write it:
 *
 *   pattern  := artifact ":" action
 *   artifact := name [ ":" tag ] [ "@" digest ]       name   := a repository, prefix/* or *
 *   action   := push | delete | *                     tag, digest := one of these, or *
 *
 * An event is about a tag (it came to point to a digest, or is gone) or about a manifest (it is in the repository, or
 * not any more). A pattern of a name alone selects both kinds, one with a tag those about tags; one with a digest
 * those about manifests, and with a tag before it those of that tag and that digest. Pure.
 */
export type NotificationPattern = { name: string; tag?: string; digest?: string; action: Action | '*' };
export type Action = 'push' | 'delete';
/** What happened to what. */
export type Artifact = { name: string; tag?: string | undefined; digest: string; action: Action };

const ACTIONS: readonly string[] = ['push', 'delete', '*'];

/** Undefined where it is none. */
export function readNotificationPattern(text: string): NotificationPattern | undefined {
  const end = text.lastIndexOf(':');
  const action = text.slice(end + 1);
  if (end < 1 || !ACTIONS.includes(action)) return undefined;
  const [named = '', digest, ...rest] = text.slice(0, end).split('@');
  const colon = named.indexOf(':');
  const name = colon < 0 ? named : named.slice(0, colon);
  const tag = colon < 0 ? undefined : named.slice(colon + 1);
  if (rest.length > 0 || !isPattern(name)) return undefined;
  if (tag !== undefined && tag !== '*' && !isTag(tag)) return undefined;
  if (digest !== undefined && digest !== '*' && !isDigest(digest)) return undefined;
  return {
    name,
    ...(tag !== undefined && { tag }),
    ...(digest !== undefined && { digest }),
    action: action as NotificationPattern['action'],
  };
}

/** Whether one of the patterns selects it; those that are none select nothing. */
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

const isOrAny = (wanted: string, found: string): boolean => wanted === '*' || wanted === found;
