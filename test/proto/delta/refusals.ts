import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeltaInvalid } from '#proto/delta/format/invalid.ts';
import { text } from './blobs.ts';
import { raw } from './delta-file.ts';
import { applied, storedOf } from './in-memory.ts';

/** What deltas made by hand are said to make, and of what. */
export const target = text(20_000);
export const base = text(20_000, 2);
/** The target, as it is. */
export const literals = raw(target);

/** Deltas that are refused with these messages. The base is `base`, unless another one is named. */
export function refuses(invalid: Record<string, [delta: Buffer, message: RegExp, base?: Buffer]>): void {
  for (const [name, [delta, message, of = base]] of Object.entries(invalid)) {
    test(`a delta is refused that has ${name}`, () => {
      const from = performance.now();
      const run = () => applied(delta, [of], storedOf(target));
      assert.throws(run, (error: Error) => error instanceof DeltaInvalid && message.test(error.message));
      assert.ok(performance.now() - from < 5_000);
    });
  }
}
