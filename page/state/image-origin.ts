import type { Attached, TagOrigin } from '#proto/content/images.ts';
import { instantText } from '../format/times.ts';

/** Where an image came from, and what its signatures say, as text. Pure but for the time zone. */

export function originText({ from, name, since, before }: TagOrigin): string {
  if (from === 'unknown') return before === undefined ? 'unknown' : `unknown, before ${instantText(before)}`;
  const source = name === undefined ? WITHOUT_NAME[from] : `${WITH_NAME[from]} ${name}`;
  return since === undefined ? source : `${source}, since ${instantText(since)}`;
}

const WITH_NAME = { parent: 'from the parent', client: 'pushed by', child: 'pushed by the layer below' };
const WITHOUT_NAME = {
  parent: 'from the parent',
  client: 'pushed by a client without an account',
  child: 'pushed by a layer below',
};

/** Nothing that was not verified is called so. */
export function signedText(attached: readonly Attached[]): string {
  const signatures = attached.filter(({ kind }) => kind === 'signature');
  if (signatures.length === 0) return 'none here';
  return signatures
    .map(({ signer }) => {
      const by = signer?.by === undefined ? '' : `, as ${signer.by}`;
      return `signed, ${signer?.verified ? 'verified' : 'not verified'}${by}`;
    })
    .join('; ');
}
