import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { files, sources, textOf } from './support/imports.ts';

/**
 * Identifiers, file names and comments, by docs/design/style.md: its word lists, and names and files that exist.
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

/** Names of buckets on the bus, and fields of earlier versions. */
const STORED = new Set(['heard', 'told']);

/** The words of an identifier, apart from each other. */
const split = (name: string) => name.replace(/([a-z0-9])([A-Z])/g, '$1 $2').replace(/[_-]/g, ' ');

const parsed = sources.map((file) => ({ file, tokens: [...tokensIn(textOf(file))] }));

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
const FOREIGN = new Set(
  `ChunkedProperty createOptions01 chown allow_responses $JS ACK LogAndApply Recover AADSTS90033 _catalog
  doc/log_format.md doc/table_format.md P90D PT90M P1DT12H`.split(/\s+/),
);

/** Names, texts and words of the path, by file. */
const namesIn = parsed.map(({ file, tokens }) => ({
  file,
  names: new Set([...file.split(/[/.]/), ...tokens.flatMap(({ name, text }) => name ?? text ?? [])]),
}));
const isNamed = (...words: string[]) =>
  namesIn.some(({ names }) => words.every((word) => FOREIGN.has(word) || names.has(word)));

/** What comments have in backticks and could be a name: `A.b` and `A#b`, too, without the parentheses of a call. */
const quoted = parsed.flatMap(({ file, tokens }) =>
  tokens
    .flatMap(({ comment }) => [...(comment ?? '').matchAll(/`([A-Za-z_$#][\w$#.]*)(?:\(\))?`/g)])
    .map(([, path = '']) => ({ file, path, words: path.split(/[.#]+/).filter((word) => /\D/.test(word)) })),
);
const linesOf = (wrong: { file: string; path: string }[]) =>
  wrong.map(({ file, path }) => `${file}: ${path}`);

test('a name in backticks in a comment exists, and one file has all parts of a dotted name', () => {
  const wrong = quoted.filter(({ path, words }) => !isNamed(path) && !isNamed(...words));
  assert.deepEqual(linesOf(wrong), []);
});

test('a constant that a comment names is in the same file, or is exported', () => {
  const constants = (pattern: RegExp) =>
    new Set(sources.flatMap((file) => [...textOf(file).matchAll(pattern)].map(([, name]) => name)));
  const exported = constants(/^export const ([A-Z][A-Z\d]*_[A-Z\d_]*)\b/gm);
  const declared = constants(/^const ([A-Z][A-Z\d]*_[A-Z\d_]*)\b/gm);
  const own = new Map(namesIn.map(({ file, names }) => [file, names]));
  const wrong = quoted.filter(
    ({ file, path }) => declared.has(path) && !exported.has(path) && !own.get(file)?.has(path),
  );
  assert.deepEqual(linesOf(wrong), []);
});

test('a file that a comment names is there, in the folder of the comment, or in one above or below', () => {
  const wrong = parsed.flatMap(({ file, tokens }) => {
    const folder = dirname(file);
    const folders = files.map(dirname).filter((below) => dirname(below) === folder);
    const from = new Set(['.', folder, dirname(folder), ...folders]);
    return tokens
      .flatMap(({ comment }) => [...(comment ?? '').matchAll(/(?<![\w./:-])[\w./-]*\w\.(?:ts|md)\b/g)])
      .filter(([name]) => !FOREIGN.has(name) && ![...from].some((base) => files.includes(join(base, name))))
      .map(([name]) => `${file}: ${name}`);
  });
  assert.deepEqual(wrong, []);
});

test('no line of a comment has more than 120 columns, apart from examples, which are indented', () => {
  const wrong = sources.flatMap((file) =>
    textOf(file)
      .split('\n')
      .flatMap((line, at) =>
        line.length > 120 && /^\s*(?:\/\*|\*(?! {3})|\/\/)/.test(line) ? `${file}:${at + 1}` : [],
      ),
  );
  assert.deepEqual(wrong, []);
});
