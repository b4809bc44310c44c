/**
 * What the page makes of the answers of the API, without a browser: `verdict.ts` whether the layer is equal to its
 * parent, `link-view.ts` the link, `layer-tree.ts` the layers below, `event-list.ts` and `event-text.ts` events,
 * `routes.ts` the address of each view. Pure.
 *
 * A tone is shown as a shape, a colour and a word, so that no state rests on colour alone. `quiet` is the normal case,
 * which draws no attention.
 */
export type Tone = 'good' | 'busy' | 'quiet' | 'warning' | 'error' | 'unknown';

const RANK: Tone[] = ['quiet', 'good', 'busy', 'unknown', 'warning', 'error'];

/** The one that needs attention first. */
export const worst = (tones: readonly Tone[]): Tone =>
  tones.reduce<Tone>((found, tone) => (RANK.indexOf(tone) > RANK.indexOf(found) ? tone : found), 'quiet');
