import type { Digest, Tag } from '#proto/oci/names.ts';

/** Tags by whose content a new one is likely to resemble what is here already. Pure. */

/** Max names on each side of a tag that are compared with it. */
const MAX_NEAR = 50;
/** Tags of the same form on either side, and of any form before it. */
const BELOW = 2;
const ABOVE = 1;

const byName = new Intl.Collator('en', { numeric: true }).compare;

/** `1.2.10-alpine` and `1.3.0-alpine` have the same form. */
const formOf = (tag: Tag): string => tag.replace(/\d+/g, '0');

/**
 * Finds manifests that the target of a tag may resemble: what it points to here, then what the tags near it do, by the
 * numbers in their names, those of the same form first.
 * @param layer targets of the tags here; sorted when this is first called
 */
export function similarTargets(layer: ReadonlyMap<Tag, Digest>): (tag: Tag) => Digest[] {
  let sorted: Tag[] | undefined;
  return (tag) => {
    sorted ??= [...layer.keys()].sort(byName);
    const at = sorted.filter((one) => byName(one, tag) < 0).length;
    const below = sorted.slice(Math.max(0, at - MAX_NEAR), at).reverse();
    const above = sorted.slice(at, at + MAX_NEAR).filter((one) => one !== tag);
    const form = formOf(tag);
    const isOfForm = (one: Tag) => formOf(one) === form;
    const tags = [
      tag,
      ...below.filter(isOfForm).slice(0, BELOW),
      ...above.filter(isOfForm).slice(0, ABOVE),
      ...below.slice(0, 1),
    ];
    return [...new Set(tags.flatMap((one) => layer.get(one) ?? []))];
  };
}
