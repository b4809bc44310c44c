import type { EventItem } from '#proto/api/events.ts';
import type { Manifest, ManifestHistory } from '#proto/api/manifests.ts';
import type { Repositories, Tags } from '#proto/api/repositories.ts';
import { digestOf } from './digests.ts';

/** Answers of the API about content and events, for tests of the page without a layer. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const STATES = ['in-sync', 'behind', 'in-sync', 'ahead', 'in-sync', 'diverged'] as const;

/** The tags of a repository, `total` of them, in pages. */
export function tagsPage(total: number, offset: number, limit: number, now = Date.now()): Tags {
  const items = Array.from({ length: Math.min(limit, total - offset) }, (_, index) => {
    const number = offset + index;
    const state = STATES[number % STATES.length] ?? 'in-sync';
    const here = digestOf(number);
    return {
      tag: `1.${Math.floor(number / 100)}.${number % 100}`,
      digest: here,
      base: here,
      parent: state === 'in-sync' || state === 'ahead' ? here : digestOf(number + 1),
      state,
      ...(state !== 'in-sync' && { since: now - number * MINUTE }),
      ...(state === 'behind' && { bytes: 12e6 }),
    };
  });
  const next = offset + items.length;
  return { items, ...(next < total && { next: String(next) }) };
}

export function repositories(isBad: boolean): Repositories {
  const names = [
    'base/alpine',
    'base/node',
    'line/plc-config',
    'line/recipes',
    'line/vision/model',
    'line/web',
    'tools/skopeo',
  ];
  return {
    items: names.map((repository, index) => ({
      repository,
      tags: [4, 12, 7, 118, 9, 10_000, 3][index] ?? 1,
      selected: index !== 6,
      sync:
        isBad && repository === 'line/web'
          ? { state: 'behind', behind: { tags: 2, bytes: 173e6, unsized: 0, failed: 0 }, leftOut: 1 }
          : isBad && repository === 'line/plc-config'
            ? { state: 'diverged', ahead: { tags: 1, manifests: 1, deletions: 0, parked: 1 }, conflicts: 1 }
            : { state: 'in-sync' },
    })),
  };
}

export function manifest(repository: string): Manifest {
  const IMAGE = 'application/vnd.oci.image.manifest.v1+json';
  const platform = (name: string, seed: number, here = true) => ({
    digest: digestOf(seed),
    mediaType: IMAGE,
    size: 1_240,
    platform: name,
    here,
  });
  return {
    repository,
    digest: digestOf(2),
    mediaType: 'application/vnd.oci.image.index.v1+json',
    size: 2_410,
    platforms: [
      platform('linux/amd64', 21),
      platform('linux/arm64/v8', 22),
      platform('linux/arm/v7', 23, false),
    ],
    layers: [],
    total: 402e6,
    referrers: [
      {
        digest: digestOf(31),
        artifactType: 'application/vnd.dev.cosign.artifact.sig.v1+json',
        size: 1_800,
        kind: 'signature',
      },
      { digest: digestOf(32), artifactType: 'application/spdx+json', size: 412_000, kind: 'sbom' },
    ],
    moreReferrers: false,
    annotations: {
      'org.opencontainers.image.source': 'https://git.example.com/line/web',
      'org.opencontainers.image.version': '2',
    },
    leftOut: [{ digest: digestOf(23), platform: 'linux/arm/v7' }],
  };
}

export const manifestHistory = (now = Date.now()): ManifestHistory => ({
  items: [
    { at: now - 2 * HOUR, type: 'tag.moved', tag: '2', from: 'parent' },
    { at: now - 2 * HOUR - 800, type: 'manifest.committed', from: 'parent' },
    { at: now - 31 * 24 * HOUR, type: 'tag.moved', tag: '2', from: 'client', account: 'old-ci' },
  ],
  complete: true,
});

const SAMPLES: Pick<EventItem, 'type' | 'data'>[] = [
  { type: 'tag.moved', data: { repository: 'line/web', tag: '2', digest: digestOf(2) } },
  {
    type: 'transfer.progressed',
    data: {
      repository: 'line/web',
      digest: digestOf(5),
      size: 402e6,
      done: 229e6,
      direction: 'down',
      rate: 2.1e6,
    },
  },
  { type: 'link.changed', data: { from: 'Syncing', state: 'Online' } },
  {
    type: 'image.conflict',
    data: { repository: 'line/plc-config', tag: '6', loserTag: '6.conflict-line-3-4c1fe09b' },
  },
  {
    type: 'pass.finished',
    data: { ok: false, taken: 2, sent: 1, dropped: 0, withdrawn: 0, failed: 0, parked: 1 },
  },
  {
    type: 'image.failed',
    data: { repository: 'line/web', tag: '3', direction: 'down', reason: 'the parent answers 502' },
  },
];

export function event(sequence: number, time = Date.now()): EventItem {
  const sample = SAMPLES[sequence % SAMPLES.length] as (typeof SAMPLES)[number];
  return {
    sequence,
    id: `/layers/line-3/storage-1/${sequence}`,
    time: new Date(time).toISOString(),
    layer: 'line-3',
    ...sample,
  };
}
