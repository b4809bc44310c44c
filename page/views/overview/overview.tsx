import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import type { Layer } from '#proto/api/layer.ts';
import type { Layers } from '#proto/api/layers.ts';
import type { Link } from '#proto/api/link.ts';
import { openStream } from '../../api/event-stream.ts';
import { refresh, usePolled } from '../../api/polled.ts';
import { Attention } from './attention.tsx';
import { Chain } from './chain.tsx';
import { DiskPanel } from './disk.tsx';
import { PassesPanel } from './passes.tsx';
import { ThroughputPanel } from './throughput.tsx';
import { TransfersPanel } from './transfers.tsx';
import { VerdictPanel } from './verdict.tsx';

/**
 * The first view: the chain of layers, the verdict on this one, what needs a person, and what the link and the disk do
 * now. It fits on one screen, and is read from afar.
 */

/** Events after which the figures are read again at once. None of them comes with each image that is transferred. */
const CHANGES = [
  'link.changed',
  'pass.started',
  'pass.finished',
  'image.failed',
  'image.conflict',
  'image.parked',
  'image.incomplete',
  'space.changed',
  'configuration.changed',
  'configuration.refused',
  'scrub.finished',
  'storage.started',
];

export function Overview({ layer }: { layer: Layer }): JSX.Element {
  const link = usePolled<Link>('/link', 10_000).value.value;
  const layers = usePolled<Layers>('/layers', 10_000).value.value;
  useEffect(
    () =>
      openStream(
        { type: CHANGES.join(','), rate: 1 },
        { onMessage: () => refresh('/layer', '/link', '/transfers', '/layers', '/parked', '/passes') },
      ),
    [],
  );
  return (
    <div class="overview">
      <VerdictPanel layer={layer} />
      <div class="overview-side">
        <Chain layer={layer} link={link} layers={layers} />
        <DiskPanel layer={layer} />
      </div>
      <Attention layer={layer} />
      <TransfersPanel layer={layer} />
      <ThroughputPanel />
      <PassesPanel />
    </div>
  );
}
