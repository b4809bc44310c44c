import { CLEAR_SHARE, Coverage, chooseByCoverage } from '../choice/coverage.ts';
import { FileSketch, type Sketch } from '../choice/sketch.ts';
import { MAX_CONTENT_RATIO } from './codec-options.ts';
import { readSketch, type SketchLimits } from './read-sketch.ts';
import type { SketchFiles } from './sketch-files.ts';
import type { Content, MakeTask } from './task.ts';

/** Max share of the time that reading candidates may take. */
const MAX_SHARE_OF_TIME = 0.25;
/** Max share of what is left of it for one candidate: a slow one leaves time for the others. */
const MAX_SHARE_OF_REST = 0.5;

/** Content of small blobs may be larger than the ratio allows. */
const SPARE_CONTENT_BYTES = 1024 * 1024;
/** Of content that is unlike any other. */
const NOTHING = new FileSketch().end();

type BasesTask = Pick<MakeTask, 'target' | 'candidates' | 'maxBases' | 'limits'>;

/**
 * Chooses bases among the candidates. A single one is taken unread; several are read in their order until they cover
 * the target clearly, or time is short. One that takes too long, or has too much content, counts as unlike.
 * @param files where sketches are kept, and looked up
 * @returns none if no candidate is like the target, a tar archive; of other content the first one then
 */
export async function chooseBases(
  { target, candidates, maxBases, limits: { scratchBytes } }: BasesTask,
  limits: SketchLimits,
  files: Pick<SketchFiles, 'get' | 'keep'>,
): Promise<Content[]> {
  if (candidates.length <= 1) return candidates;
  const sketchOf = async (content: Content, minLeftMs: number): Promise<Sketch | undefined> => {
    const known = files.get(content.digest);
    if (known) return known;
    const maxContentBytes = Math.min(scratchBytes, MAX_CONTENT_RATIO * content.size + SPARE_CONTENT_BYTES);
    const sketch = await readSketch(content, limits, { maxContentBytes, minLeftMs });
    // That of content that is too large is empty: the bound may be another one next time.
    if (sketch && sketch.parts.size > 0) files.keep(content.digest, sketch);
    return sketch;
  };
  const { leftMs } = limits;
  const wanted = (await sketchOf(target, 0)) ?? NOTHING;
  const read: Sketch[] = [];
  for (const candidate of candidates) {
    const spareMs = Math.max(0, limits.leftMs - (1 - MAX_SHARE_OF_TIME) * leftMs);
    const sketch = (await sketchOf(candidate, limits.leftMs - MAX_SHARE_OF_REST * spareMs)) ?? NOTHING;
    read.push(sketch);
    const share = new Coverage(wanted).gain(sketch);
    if (share >= CLEAR_SHARE || limits.leftMs < (1 - MAX_SHARE_OF_TIME) * leftMs) break;
  }
  const chosen = chooseByCoverage(wanted, read, maxBases).map((index) => candidates[index] as Content);
  // Changes may be closer together than the chunks of a sketch: only a delta shows then what they have in common.
  const isUnsure = chosen.length === 0 && wanted.kind === 'chunks';
  return isUnsure ? candidates.slice(0, 1) : chosen;
}
