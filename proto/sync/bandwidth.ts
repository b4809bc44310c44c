import { request } from '../contract/contract.ts';
import { Party } from '../contract/scalars.ts';
import { Type } from '../contract/schema.ts';
import { Direction } from './transfers.ts';

/**
 * Asks the coordinator, which alone knows the usage of all syncers, to grant `bytes` over the link. Answered when they
 * fit into the limit in force; syncers take turns.
 */
export const takeBandwidth = request(
  'syncer.bandwidth.take',
  Type.Object({
    by: Party,
    direction: Direction,
    bytes: Type.Integer({ minimum: 1 }),
  }),
  Type.Object({}),
);
