import { type Finding, fault, type Verdict, warning } from '../verdict/check.ts';
import type { ParentFacts, ParentRepositories, ParentTarget } from './parent-facts.ts';
import type { HttpAnswer, ParentHttp } from './parent-http.ts';
import { urlAt } from './parent-http.ts';
import { listTags, matchesOf, repositoriesOf } from './repositories.ts';
import { serverReason } from './server-reason.ts';

/**
 * What the login may do at the parent: list the repositories, pull those that are selected, and push in a ReadWrite
 * layer. Whether it may push is tried by an upload that is opened in a repository that exists, and cancelled.
 */

/** Max repositories of the catalog whose tags are listed. */
const MAX_SAMPLES = 3;
const REFUSED = [401, 403];

export type RightsSeen = {
  username: string | undefined;
  /** Patterns that need the catalog. */
  wide: string[];
  repositories: ParentRepositories;
  /** Tags of a repository could be listed. */
  isReadable: boolean;
  /** Repositories of the catalog whose tags may not be listed. */
  refused: string[];
  /** The answer to an upload; undefined: none was tried, in a ReadOnly layer or without a repository. */
  push?: { repository: string; status: number; reason: string } | undefined;
};

export async function checkRights(
  target: ParentTarget,
  facts: ParentFacts,
  signal: AbortSignal,
): Promise<Verdict> {
  const repositories = await repositoriesOf(target, facts, signal);
  const wide = target.patterns.filter((pattern) => pattern.endsWith('*'));
  const refused: string[] = [];
  const readable = [...repositories.named].flatMap(([name, status]) => (status === 200 ? [name] : []));
  const listed = new Set(wide.flatMap((pattern) => matchesOf(pattern, repositories)));
  for (const name of [...listed].slice(0, MAX_SAMPLES)) {
    const { status } = await listTags(name, target, facts, signal);
    if (status === 200) readable.push(name);
    else if (REFUSED.includes(status)) refused.push(name);
  }
  const [first] = readable;
  const push =
    target.mode === 'ReadWrite' && first !== undefined ? await tryPush(first, facts, signal) : undefined;
  return rightsVerdict({
    username: target.username,
    ...{ wide, repositories, refused, push },
    isReadable: first !== undefined,
  });
}

async function tryPush(
  repository: string,
  facts: ParentFacts,
  signal: AbortSignal,
): Promise<RightsSeen['push']> {
  const http = facts.http as ParentHttp;
  const authorization = await facts.authorize?.(`repository:${repository}:pull,push`, signal);
  const headers = { authorization };
  const path = `/v2/${repository}/blobs/uploads/`;
  const opened = await http.request(path, { method: 'POST', headers, signal });
  const { status, body } = opened;
  await cancel(opened, http, headers, signal).catch(() => {});
  return { repository, status, reason: serverReason(body) };
}

/** An upload that can't be cancelled ends by itself at each registry. */
async function cancel(
  { status, headers: { location } }: HttpAnswer,
  http: ParentHttp,
  headers: { authorization: string | undefined },
  signal: AbortSignal,
): Promise<void> {
  const base = urlAt(http.base, '/v2/');
  if (status !== 202 || !location || !URL.canParse(location, base.href)) return;
  const url = new URL(location, base);
  if (url.origin === base.origin) await http.request(url, { method: 'DELETE', headers, signal });
}

/** Pure. */
export function rightsVerdict({
  username,
  wide,
  repositories,
  isReadable,
  refused,
  push,
}: RightsSeen): Verdict {
  const login = username === undefined ? 'a client without a login' : `the login ${username}`;
  const { named, catalog } = repositories;
  const findings: Finding[] = [];
  const [unlisted] = wide;
  if (catalog && 'refused' in catalog && unlisted !== undefined) {
    const what = `${login} may not list the repositories of the parent (${catalog.refused}), and the selection ${unlisted} needs that`;
    findings.push(fault(what, 'grant it the catalog there, or select repositories by their names'));
  }
  const closed = [
    ...[...named].flatMap(([name, status]) => (REFUSED.includes(status) ? [name] : [])),
    ...refused,
  ];
  if (closed.length > 0) {
    const what = `${login} may not pull from ${listOf(closed)}`;
    findings.push(
      fault(what, 'grant it the right to read there, or take the repository out of the selection'),
    );
  }
  if (push && [...REFUSED, 404, 405].includes(push.status)) {
    const what = `${login} may not push to ${push.repository} (${push.status}${push.reason})`;
    findings.push(fault(what, 'grant it the right to push there, or set mode to ReadOnly'));
  } else if (push && push.status !== 202) {
    const what = `an upload to ${push.repository} is answered with ${push.status}${push.reason}`;
    findings.push(warning(what, 'see the log of the parent'));
  }
  const may = [
    ...(catalog && 'names' in catalog ? ['list'] : []),
    ...(isReadable ? ['pull'] : []),
    ...(push?.status === 202 ? ['push'] : []),
  ];
  return {
    about: may.length > 0 ? `may ${may.join(', ')}` : 'nothing could be tried, as no repository was found',
    findings,
  };
}

/** Names, not all if there are many. */
export const listOf = (names: readonly string[]): string =>
  names.length <= 3 ? names.join(', ') : `${names.slice(0, 3).join(', ')} and ${names.length - 3} others`;
