import type { Digest } from '#proto/oci/names.ts';
import { CLEAR_SHARE, Coverage, chooseByCoverage } from '../choice/coverage.ts';
import { packSketch, type Sketch, unpackSketch } from '../choice/sketch.ts';
import type { WorkLimits } from './limits.ts';
import { readSketch } from './read-sketch.ts';
import type { Content, MakeTask } from './task.ts';

/** Max share of the time that reading candidates may take. */
const MAX_SHARE_OF_TIME = 0.25;

/**
 * Chooses bases among the candidates. A single one is taken unread; several are read in their order until they cover
 * the target clearly, or time is short.
 * @returns none if no candidate is like the target, a tar archive; of other content the first one then. The sketches
 * that were made
 */
export async function chooseBases(
  { target, candidates, sketches: known, maxBases }: MakeTask,
  limits: WorkLimits,
): Promise<{ bases: Content[]; sketches: Record<Digest, string> }> {
  if (candidates.length <= 1) return { bases: candidates, sketches: {} };
  const sketches: Record<Digest, string> = {};
  const sketchOf = async (content: Content): Promise<Sketch> => {
    const packed = known[content.digest];
    if (packed) return unpackSketch(packed);
    const sketch = await readSketch(content, limits);
    sketches[content.digest] = packSketch(sketch);
    return sketch;
  };
  const { leftMs } = limits;
  const wanted = await sketchOf(target);
  const read: Sketch[] = [];
  for (const candidate of candidates) {
    const sketch = await sketchOf(candidate);
    read.push(sketch);
    const share = new Coverage(wanted).gain(sketch);
    if (share >= CLEAR_SHARE || limits.leftMs < (1 - MAX_SHARE_OF_TIME) * leftMs) break;
  }
  const chosen = chooseByCoverage(wanted, read, maxBases).map((index) => candidates[index] as Content);
  // Changes may be closer together than the chunks of a sketch: only a delta shows then what they have in common.
  const isUnsure = chosen.length === 0 && wanted.kind === 'chunks';
  return { bases: isUnsure ? candidates.slice(0, 1) : chosen, sketches };
}
