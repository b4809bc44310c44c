import { type Held, Layer } from '#proto/api/layer.ts';
import { Layers } from '#proto/api/layers.ts';
import { Link } from '#proto/api/link.ts';
import { LeftOut } from '#proto/api/pending.ts';
import { StorageStatusAnswer } from '#proto/api/storage.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { LayerStatus } from '#proto/overview/layer-status.ts';
import { problemsOf } from '#proto/overview/problems/problems.ts';
import { version } from '#proto/process/version.ts';
import { NOT_SEEN } from '#proto/status/presence.ts';
import type { StorageStatus } from '#proto/status/storage-status.ts';
import { type Operation, operation } from '../operation/operation.ts';
import { treeOf } from './layer-tree.ts';
import type { StatusCache } from './status-cache.ts';

/** The layer at one moment: itself, its link, its storage, and the layers below. */
export function layerOperations(status: StatusCache, started: number): Operation[] {
  return [
    operation({
      method: 'GET',
      path: '/layer',
      needs: 'operate/read',
      summary: 'The layer at one moment, with what needs a person.',
      answers: { 200: Layer },
      handler: async () => layerOf(await status.read(), started, Date.now()),
    }),
    operation({
      method: 'GET',
      path: '/link',
      needs: 'operate/read',
      summary: 'The link to the parent, and when and how it may be used.',
      answers: { 200: Link },
      handler: async () => linkOf(await status.read(), Date.now()),
    }),
    operation({
      method: 'GET',
      path: '/layers',
      needs: 'operate/read',
      summary: 'The layers below as a tree.',
      answers: { 200: Layers },
      handler: async () => treeOf((await status.read()).below ?? []),
    }),
    operation({
      method: 'GET',
      path: '/storage',
      needs: 'operate/read',
      summary: 'Content and condition of storage.',
      answers: { 200: StorageStatusAnswer },
      handler: async () => {
        const { storage } = await status.read();
        if (!storage) throw new Fault('unavailable', 'storage does not answer: try again');
        return storage;
      },
    }),
    operation({
      method: 'GET',
      path: '/left-out',
      needs: 'operate/read',
      summary: 'What the layer lacks of the images that it has.',
      answers: { 200: LeftOut },
      handler: async () =>
        (await status.read()).link?.leftOut ?? { images: 0, referrers: 0, children: 0, first: [] },
    }),
  ];
}

function layerOf(status: LayerStatus, started: number, now: number): Layer {
  const {
    configuration,
    storage,
    link,
    coordinator,
    services,
    silent,
    syncers,
    savings,
    below = [],
  } = status;
  const children = below.filter(({ path }) => path.length === 0);
  return {
    name: configuration?.name ?? '',
    version: version(),
    ...(configuration && { mode: configuration.mode, url: urlOf(configuration) }),
    ...(configuration?.parent && { parent: parentOf(configuration.parent) }),
    started,
    now,
    ...(link && { link, linkKnown: syncers.length > 0 }),
    ...(status.sync && { sync: status.sync }),
    ...(savings && { savings }),
    ...(storage?.deltas && {
      deltas: { ...storage.deltas, ...(configuration && { limit: configuration.delta.cache }) },
    }),
    ...(storage && { held: heldOf(storage), space: storage.space, tokens: storage.tokens }),
    children: {
      count: children.length,
      connected: children.filter((child) => child.link?.code !== NOT_SEEN).length,
    },
    problems: problemsOf(status),
    services: services.slice(0, 256),
    ...(coordinator && { coordinator }),
    silent,
  };
}

const heldOf = ({ repositories, tags, blobs, bytes }: StorageStatus): Held => ({
  repositories,
  tags,
  blobs,
  bytes,
});

function urlOf({ listen, tls, loginServer }: Configuration): string {
  return `${tls ? 'https' : 'http'}://${loginServer ?? listen}`;
}

/** Without a login that the address may have. */
function parentOf({ url, username }: NonNullable<Configuration['parent']>): NonNullable<Layer['parent']> {
  return { url: url.replace(/\/\/[^/@]*@/, '//'), ...(username && { username }) };
}

function linkOf({ configuration, link, coordinator, syncers, storage }: LayerStatus, now: number): Link {
  const limits = configuration?.bandwidth ?? [];
  const minute = Math.floor(now / 60_000) % DAY;
  const inForce = limits.findIndex((entry) => applies(entry, minute));
  return {
    ...(configuration?.parent && { parent: parentOf(configuration.parent) }),
    ...(link && { status: link }),
    known: syncers.length > 0,
    ...(coordinator && { coordinator }),
    ...(configuration && { schedule: configuration.schedule }),
    ...(configuration?.windowMs !== undefined && { windowMs: configuration.windowMs }),
    ...(storage?.paused && { paused: storage.paused }),
    bandwidth: limits.map((entry, index) => ({ ...entry, inForce: index === inForce })),
  };
}

/** In minutes. */
const DAY = 24 * 60;

/** An entry with `to` before `from` spans midnight. */
function applies({ from = 0, to = DAY }: Configuration['bandwidth'][number], minute: number): boolean {
  if (from === to) return true;
  return from < to ? from <= minute && minute < to : from <= minute || minute < to;
}
