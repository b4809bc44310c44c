import type { Pieces } from '../bytes/bytes.ts';
import { writeVarint } from '../bytes/varint.ts';
import { NumberReader } from './number-reader.ts';

/** Places in order: of each, LEB128 of its distance from the one before. */

const MAX_PLACE_BYTES = 8;

export function writePlaces(places: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(places.length * MAX_PLACE_BYTES);
  let [at, last] = [0, 0];
  for (const place of places) {
    at = writeVarint(bytes, at, place - last);
    last = place;
  }
  return bytes.subarray(0, at);
}

/** @throws DeltaInvalid */
export function* readPlaces(stream: Pieces): Generator<number> {
  const numbers = new NumberReader(stream);
  let place = 0;
  for (let next = numbers.next(); next !== undefined; next = numbers.next()) {
    place += next;
    yield place;
  }
}
