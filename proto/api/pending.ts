import { described } from '../contract/contract.ts';
import type { Static } from '../contract/schema.ts';
import { LeftOutSummary } from '../sync/left-out.ts';
import { Parked } from '../sync/outgoing.ts';
import { listOf } from './lists.ts';

/** What waits for a person or a retry: changes that the parent refused, and content that it does not provide. */

export const ParkedItem = described(Parked, 'A change that the parent refused.');

export const ParkedList = listOf(ParkedItem, 'Changes that the parent refused, by repository and reference.');
export type ParkedList = Static<typeof ParkedList>;

export const LeftOut = described(
  LeftOutSummary,
  'What the layer lacks of the images that it has, as of the last pass. All figures are 0 if nothing is left out.',
);
export type LeftOut = Static<typeof LeftOut>;
