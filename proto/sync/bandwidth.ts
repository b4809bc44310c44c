import { Type } from '@sinclair/typebox';
import { request } from '../contract/contract.ts';
import { Party } from '../oci/names.ts';
import { Direction } from './transfers.ts';

/**
 * Asks the coordinator, which alone knows what all syncers use, for leave to move so many bytes over the link. The
 * answer comes when they fit into the limit that is in force; askers take turns.
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
