import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** Which file of the project imports which, as the text of the files says. */

export const root = join(import.meta.dirname, '../..');

export const git = (...parameters: string[]): string[] =>
  execFileSync('git', parameters, { cwd: root, encoding: 'utf8' }).split('\n').filter(Boolean);

/** All files that are, or may become, part of the repository, as paths from its root. */
export const files = git('ls-files', '--cached', '--others', '--exclude-standard').filter((file) =>
  existsSync(join(root, file)),
);
export const sources = files.filter((file) => file.endsWith('.ts'));
/** What is delivered: all but tests and benchmarks. */
export const product = sources.filter((file) => !/^(test|bench)\//.test(file));

export const textOf = (file: string): string => readFileSync(join(root, file), 'utf8');

/** `to`: a file of the project by its path, a package by its name. */
export type Import = { from: string; to: string; typesOnly: boolean };

const STATIC = /(?:^|\n)(import|export)(\s+type\b)?[^'";]*?['"]([^'"\n]+)['"]/g;
const DYNAMIC = /\bimport\(\s*['"]([^'"\n]+)['"]/g;

export const imports: Import[] = sources.flatMap((from) => {
  const text = textOf(from);
  return [
    ...[...text.matchAll(STATIC)].map(([, , type, name]) => ({ name, typesOnly: type !== undefined })),
    ...[...text.matchAll(DYNAMIC)].map(([, name]) => ({ name, typesOnly: false })),
  ].map(({ name, typesOnly }) => ({ from, to: resolve(from, name as string), typesOnly }));
});

function resolve(from: string, name: string): string {
  if (name.startsWith('#proto/')) return name.slice(1);
  if (name.startsWith('.')) return relative(root, join(root, dirname(from), name));
  if (name.startsWith('node:')) return name;
  return name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/');
}

type Edges = ReadonlyMap<string, ReadonlySet<string>>;

/** The imports as edges between what `nameOf` makes of files, such as their folders. */
export function graphOf(some: readonly Import[], nameOf = (file: string) => file): Edges {
  const edges = new Map<string, Set<string>>();
  for (const { from, to } of some) {
    const [one, other] = [nameOf(from), nameOf(to)];
    if (one !== other) edges.set(one, (edges.get(one) ?? new Set()).add(other));
  }
  return edges;
}

/** All that can be reached from a node, without the node. */
export function reachedFrom(start: string, edges: Edges): Set<string> {
  const reached = new Set<string>();
  const open = [start];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    for (const next of edges.get(node) ?? []) {
      if (reached.has(next)) continue;
      reached.add(next);
      open.push(next);
    }
  }
  return reached;
}

/** Groups of nodes that reach each other (Tarjan's algorithm). */
export function circlesIn(edges: Edges): string[][] {
  const order = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const found: string[][] = [];
  const visit = (node: string): number => {
    const own = order.size;
    order.set(node, own);
    low.set(node, own);
    stack.push(node);
    const lower = (other: number) => low.set(node, Math.min(low.get(node) as number, other));
    for (const next of edges.get(node) ?? []) {
      if (!order.has(next)) lower(visit(next));
      else if (stack.includes(next)) lower(order.get(next) as number);
    }
    if (low.get(node) === own) {
      const group = stack.splice(stack.indexOf(node));
      if (group.length > 1) found.push(group.sort());
    }
    return low.get(node) as number;
  };
  for (const node of edges.keys()) if (!order.has(node)) visit(node);
  return found;
}
