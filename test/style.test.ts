import assert from 'node:assert/strict';
import { test } from 'node:test';
import { product, textOf } from './support/imports.ts';

/**
 * Identifiers, file names and comments of the product, by docs/design/style.md: its word lists, and names that exist.
 */

const [, everywhere = '', inNames = ''] = textOf('docs/design/style.md').split(/^### .*$/m);
const wordsOf = (table: string): string[] =>
  [...table.matchAll(/^\| ([^|-]+) \|/gm)].flatMap(([, words]) => (words as string).split(', ')).slice(1);
const anyOf = (words: string[]) => new RegExp(`\\b(?:${words.join('|')})\\b`, 'i');

const COMMENT = /(?<comment>\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*)/;
const TEXT = /'(?<text>(?:[^'\\\n]|\\.)*)'|"(?:[^"\\\n]|\\.)*"|(?<=[(=:,!&|?[]\s*)\/(?:[^/\\\n]|\\.)+\//;
const NAME = /(?<name>[A-Za-z_$][\w$]*)/;
const PART = /(?:[^`\\$]|\\[\s\S]|\$(?!\{))*(?:`|(?<opens>\$\{))/;
const CODE = new RegExp(
  [COMMENT, TEXT, NAME, new RegExp(`\`${PART.source}`), /[\s\S]/].map(({ source }) => source).join('|'),
  'my',
);
const TEMPLATE = new RegExp(`\\}${PART.source}`, 'y');

type Token = { comment?: string; name?: string; text?: string; opens?: string };

/** Comments, identifiers and texts of a file; `depths`: how many braces are open in each open `${` of a template. */
function* tokensIn(text: string): Generator<Token> {
  const depths: number[] = [];
  for (let at = 0; at < text.length; ) {
    const isEnd = text[at] === '}' && depths.at(-1) === 0;
    if (isEnd) depths.pop();
    else if (depths.length > 0 && /[{}]/.test(text[at] as string)) {
      depths.push((depths.pop() as number) + (text[at] === '{' ? 1 : -1));
    }
    const pattern = isEnd ? TEMPLATE : CODE;
    pattern.lastIndex = at;
    const match = pattern.exec(text) as RegExpExecArray;
    if (match.groups?.opens) depths.push(0);
    at = pattern.lastIndex;
    yield match.groups ?? {};
  }
}

/** Names of buckets on the bus, which are stored. */
const STORED = new Set(['heard']);

/** The words of an identifier, apart from each other. */
const split = (name: string) => name.replace(/([a-z0-9])([A-Z])/g, '$1 $2').replace(/[_-]/g, ' ');

const parsed = product.map((file) => ({ file, tokens: [...tokensIn(textOf(file))] }));

test('identifiers, file names and comments use the words of the field', () => {
  const inComments = anyOf(wordsOf(everywhere));
  const inIdentifiers = anyOf([...wordsOf(everywhere), ...wordsOf(inNames)]);
  const wrong = parsed.flatMap(({ file, tokens }) => {
    const comments = tokens.flatMap(({ comment }) => comment?.replace(/`[^`]*`/g, '') ?? []);
    const names = new Set([file, ...tokens.flatMap(({ name }) => name ?? [])]);
    return [
      ...comments.filter((comment) => inComments.test(comment)),
      ...[...names].filter((name) => !STORED.has(name) && inIdentifiers.test(split(name))),
    ].map((found) => `${file}: ${found}`);
  });
  assert.deepEqual(wrong, []);
});

/** Names in comments that belong to others: IoT Edge, nats-server, JetStream, LevelDB, Microsoft Entra, ISO 8601. */
const FOREIGN =
  `ChunkedProperty createOptions01 chown allow_responses $JS ACK LogAndApply Recover AADSTS90033 _catalog
  P90D PT90M P1DT12H`.split(/\s+/);

test('a name in backticks in a comment exists in the product', () => {
  const known = new Set(FOREIGN);
  for (const { file, tokens } of parsed) {
    for (const word of file.split(/[/.]/)) known.add(word);
    for (const { name, text } of tokens) known.add(name ?? text ?? '');
  }
  const wrong = parsed.flatMap(({ file, tokens }) =>
    tokens
      .flatMap(({ comment }) => [...(comment ?? '').matchAll(/`([A-Za-z_$#][\w$#.]*)(?:\(\))?`/g)])
      .filter(([, path = '']) => path.split(/[.#]+/).some((word) => !known.has(word)))
      .map(([word]) => `${file}: ${word}`),
  );
  assert.deepEqual(wrong, []);
});
