import { createRequire } from 'node:module';
import type * as Yaml from 'yaml';

/** Where the fields of a document are in its text. Pure. */

const require = createRequire(import.meta.url);

/** Both begin with 1. */
export type Position = { line: number; column: number };

export type DocumentPositions = {
  /** All errors of the YAML, not only the first one. */
  errors: { message: string; position: Position }[];
  /**
   * Position of a field by its path, such as `repositories.0.tags`: of its key, or of its entry of a list. Of a field
   * that is missing, that of the innermost mapping that should have it.
   */
  of: (path: string) => Position | undefined;
};

export function positionsIn(text: string): DocumentPositions {
  const { parseDocument, LineCounter, isMap, isSeq, isAlias, isScalar } = require('yaml') as typeof Yaml;
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false });
  const positionAt = (offset: number): Position => {
    const { line, col } = counter.linePos(offset);
    return { line, column: col };
  };
  const of = (path: string): Position | undefined => {
    let node: unknown = document.contents;
    let found: number | undefined;
    for (const step of path.split('.')) {
      if (isAlias(node)) node = node.resolve(document);
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => String(isScalar(key) ? key.value : key) === step);
        if (!pair) break;
        found = (pair.key as Yaml.Node | undefined)?.range?.[0] ?? found;
        node = pair.value;
      } else if (isSeq(node)) {
        const item = node.items[Number(step)] as Yaml.Node | undefined;
        if (!item) break;
        found = item.range?.[0] ?? found;
        node = item;
      } else break;
    }
    return found === undefined ? undefined : positionAt(found);
  };
  return {
    errors: document.errors.map(({ message, pos }) => ({
      message: message.split('\n')[0] as string,
      position: positionAt(pos[0]),
    })),
    of,
  };
}
