import { join } from 'node:path';
import { linkOpener } from './limited-link.ts';
import { pairsIn } from './pairs.ts';
import type { LinkLimits } from './peers/peer.ts';
import { peers } from './peers/peers.ts';

/**
 * Brings one update over a link: `one-update.ts ORDER`, with an order as JSON. A process of its own, so that one that
 * fails or hangs does not end the others. Prints what it measured, as JSON.
 */
export type Order = {
  /** Folder of make.ts. */
  folder: string;
  /** `host:port` of a registry with the pairs. */
  source: string;
  kind: string;
  builder: string;
  peer: string;
  limits?: LinkLimits | undefined;
  /** Empty folder. */
  place: string;
};

if (import.meta.main) {
  const order = JSON.parse(process.argv[2] ?? '') as Order;
  const { folder, source, kind, builder, limits, place } = order;
  const [pair] = await pairsIn(
    join(folder, 'pairs'),
    (name) => name.kind === kind && name.builder === builder,
  );
  const peer = peers.find(({ name }) => name === order.peer);
  if (!pair || !peer) throw new Error(`there is no pair ${kind}/${builder}, or no peer ${order.peer}`);
  console.log(JSON.stringify(await peer.update(source, pair, place, linkOpener(place, limits))));
  // All that it started has ended.
  process.exit();
}
