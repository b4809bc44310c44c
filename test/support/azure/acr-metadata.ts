import type { AcrStore } from './acr-store.ts';

/** `/acr/v1` of the stand-in, and the lists of `/v2` that come from its store and not from the registry behind it. */

type MetadataRequest = { store: AcrStore; plain: boolean; method: string; url: URL };
type Reply = (status: number, body: object, next?: string) => void;

const unknown = { errors: [{ code: 'NAME_UNKNOWN', message: 'repository name not known to registry' }] };

/** @returns true if the request was one of these and has been answered */
export function metadata({ store, plain, method, url }: MetadataRequest, reply: Reply): boolean {
  const path = url.pathname;
  const list = (
    field: string,
    all: object[] | undefined,
    name: (item: never) => string,
    extra: object = {},
  ) => {
    if (!all) return reply(404, unknown);
    const { page, next } = pageOf(all as never[], url, name);
    return reply(200, { ...extra, [field]: page }, next);
  };
  if (path === '/v2/_catalog' || (path === '/acr/v1/_catalog' && !plain)) {
    list('repositories', [...store.repositories.keys()] as never[], (name: never) => name);
    return true;
  }
  const [, tagged = ''] = /^\/v2\/(.+)\/tags\/list$/.exec(path) ?? [];
  if (tagged) {
    const tags = store.tags(tagged)?.map(({ name }) => name);
    list('tags', tags as never, (name: never) => name, { name: tagged });
    return true;
  }
  const [, referring = '', subject = ''] = /^\/v2\/(.+)\/referrers\/(.+)$/.exec(path) ?? [];
  if (referring) {
    reply(200, store.referrers(referring, subject));
    return true;
  }
  const [, name = '', kind, item] =
    /^\/acr\/v1\/(.+?)(?:\/_(tags|manifests)(?:\/([^/]+))?)?$/.exec(path) ?? [];
  if (!name) return false;
  if (plain) reply(404, { message: '404 page not found' });
  else if (method === 'DELETE') remove(store, name, kind === 'tags' ? item : undefined, reply);
  else if (!kind) reply(store.attributes(name) ? 200 : 404, store.attributes(name) ?? unknown);
  else if (item) {
    const tag = store.tags(name)?.find((one) => one.name === item);
    reply(tag ? 200 : 404, tag ? { tag } : unknown);
  } else if (kind === 'tags') list('tags', store.tags(name), (one: { name: string }) => one.name);
  else list('manifests', store.manifests(name), (one: { digest: string }) => one.digest);
  return true;
}

function remove(store: AcrStore, name: string, tag: string | undefined, reply: Reply): void {
  if (tag === undefined) reply(store.repositories.delete(name) ? 202 : 404, {});
  else if (store.repositories.get(name)?.locked.has(tag)) {
    const message = 'The operation is disallowed on this registry, repository or image.';
    reply(405, { errors: [{ code: 'UNSUPPORTED', message }] });
  } else reply(store.untag(name, tag) ? 202 : 404, store.repositories.has(name) ? {} : unknown);
}

/** A page continues after the item `last`, in the requested order. */
function pageOf<T>(all: T[], url: URL, name: (item: T) => string): { page: T[]; next?: string } {
  const order = url.searchParams.get('orderby');
  const time = (item: T) => (item as { lastUpdateTime?: string }).lastUpdateTime ?? '';
  const byName = (a: T, b: T) => (name(a) < name(b) ? -1 : 1);
  const byTime = (a: T, b: T) => (time(a) < time(b) ? 1 : time(a) > time(b) ? -1 : byName(a, b));
  const sorted = [...all].sort(order === 'timedesc' ? byTime : byName);
  if (order === 'timeasc') sorted.sort((a, b) => -byTime(a, b));
  const last = url.searchParams.get('last');
  const from = last === null ? 0 : sorted.findIndex((item) => name(item) === last) + 1;
  const page = sorted.slice(from, from + Number(url.searchParams.get('n') ?? 100));
  const end = page.at(-1);
  if (end === undefined || from + page.length >= sorted.length) return { page };
  const query = new URLSearchParams(url.searchParams);
  query.set('last', name(end));
  return { page, next: `${url.pathname}?${query}` };
}
