import type { Peer } from './peer.ts';
import { podmanPull } from './podman.ts';
import { skopeoSync } from './skopeo.ts';
import { terraceWith } from './terrace.ts';

/** With deltas where they save bytes, where they save time, and without; and other programs. */
export const peers: readonly Peer[] = [
  terraceWith('terrace', 'always'),
  terraceWith('auto', 'auto'),
  terraceWith('plain', 'off'),
  skopeoSync,
  podmanPull,
];
