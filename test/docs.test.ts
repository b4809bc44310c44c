import assert from 'node:assert/strict';
import { dirname, extname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { files, textOf } from './support/imports.ts';

/** The documents refer only to files and headings that exist. */

const pages = files.filter((file) => /^((README|CONTRIBUTING|CHANGELOG|SECURITY)|docs\/.+)\.md$/.test(file));
const known = new Set(files);
/** Files, and the folders that contain them. */
const filesAndFolders = new Set(files.flatMap((file) => [file, ...foldersOf(file)]));

function foldersOf(file: string): string[] {
  const folder = dirname(file);
  return folder === '.' ? [folder] : [folder, ...foldersOf(folder)];
}

/** Lines of a document outside of its code blocks, with their numbers. */
function prose(file: string): { line: string; at: string }[] {
  let fence = '';
  return textOf(file)
    .split('\n')
    .flatMap((line, index) => {
      const [, marks = ''] = /^\s*(`{3,}|~{3,})/.exec(line) ?? [];
      if (fence === '' && marks) {
        fence = marks;
        return [];
      }
      if (fence !== '') {
        if (marks.startsWith(fence)) fence = '';
        return [];
      }
      return [{ line, at: `${file}:${index + 1}` }];
    });
}

/** Anchors of a document as GitHub derives them from its headings: a repeated heading gets a number. */
function anchorsOf(file: string): Set<string> {
  const counts = new Map<string, number>();
  const anchors = prose(file).flatMap(({ line }) => {
    const named = [...line.matchAll(/<a (?:id|name)="([^"]+)"/g)].map(([, name]) => name as string);
    const [, heading] = /^#{1,6}\s+(.+?)\s*#*$/.exec(line) ?? [];
    if (heading === undefined) return named;
    const slug = slugOf(heading);
    const count = counts.get(slug) ?? 0;
    counts.set(slug, count + 1);
    return [...named, count === 0 ? slug : `${slug}-${count}`];
  });
  return new Set(anchors);
}

const slugOf = (heading: string): string =>
  heading
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\p{M}\s_-]/gu, '')
    .replace(/\s/g, '-');

type Link = { at: string; from: string; to: string };

const LINKS = /!?\[(?:[^\]\\]|\\.)*\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)/g;
const DEFINITION = /^\s*\[[^\]]+\]:\s+<?([^\s>]+)/;

/** Links to files and headings. Code in backticks contains no links. */
const links: Link[] = pages.flatMap((from) =>
  prose(from).flatMap(({ line, at }) => {
    const text = line.replace(/`[^`]*`/g, '``');
    const targets = [...text.matchAll(LINKS), ...(DEFINITION.exec(text) ? [DEFINITION.exec(text)!] : [])];
    return targets
      .map(([, to]) => ({ at, from, to: to as string }))
      .filter(({ to }) => !/^[a-z][a-z0-9+.-]*:/i.test(to));
  }),
);

test('there are documents, and links among them', () => {
  assert.ok(pages.includes('README.md') && links.length > 0);
});

test('every link names a file of the repository, and every anchor a heading of that file', () => {
  const wrong = links.flatMap(({ at, from, to }) => {
    const [path = '', anchor] = decodeURIComponent(to).split('#');
    const target = path === '' ? from : normalize(join(dirname(from), path)).replace(/\/$/, '');
    if (path.startsWith('/') || target.startsWith('..')) return [`${at} ${to} is outside of the repository`];
    if (!filesAndFolders.has(target)) return [`${at} ${to} does not exist`];
    if (anchor === undefined || (extname(target) !== '.md' && /^L\d+/.test(anchor))) return [];
    return known.has(target) && anchorsOf(target).has(anchor) ? [] : [`${at} ${to} names no heading of it`];
  });
  assert.deepEqual(wrong, []);
});

test('every file that a document names in backticks exists', () => {
  const wrong = pages.flatMap((page) =>
    prose(page).flatMap(({ line, at }) =>
      [...line.matchAll(/`([^`]+)`/g)]
        .flatMap(([, code]) => (code as string).split(/\s+/))
        .filter((word) => /^\w[\w.-]*(\/[\w.-]+)+\.(ts|md|json|yml|sh)$/.test(word))
        .filter((path) => !known.has(path))
        .map((path) => `${at} ${path}`),
    ),
  );
  assert.deepEqual(wrong, []);
});

test('every test that the invariants name exists', () => {
  const NAMED = /`(test\/[\w/.-]+\.ts)`: (.+?)(?=; `test\/| \|)/g;
  const wrong = [...textOf('docs/design/invariants.md').matchAll(NAMED)].flatMap(
    ([, file = '', names = '']) => {
      const source = textOf(file)
        .replace(/\$\{[^}]*\}/g, '…')
        .replace(/\\'/g, "'");
      return names
        .replace(/ \([^()]*\)/g, '')
        .split('; ')
        .filter((name) => !source.includes(name))
        .map((name) => `${file}: ${name}`);
    },
  );
  assert.deepEqual(wrong, []);
});

test('no line names a path outside of the repository', () => {
  const LOCAL = /(?:^|[\s(`'"=:])(?:~\/|(?:file:\/\/)?\/(?:work|home|root|Users|tmp\/\w)\b|[A-Z]:\\)/;
  const wrong = pages.flatMap((page) =>
    textOf(page)
      .split('\n')
      .flatMap((line, index) => (LOCAL.test(line) ? [`${page}:${index + 1} ${line.trim()}`] : [])),
  );
  assert.deepEqual(wrong, []);
});
