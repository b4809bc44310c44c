import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** The import graph of the project, read from the text of its files. */

export const root = join(import.meta.dirname, '../..');

export const git = (...parameters: string[]): string[] =>
  execFileSync('git', parameters, { cwd: root, encoding: 'utf8' }).split('\n').filter(Boolean);

/** All files that git tracks or would add, as paths from the root of the repository. */
export const files = git('ls-files', '--cached', '--others', '--exclude-standard').filter((file) =>
  existsSync(join(root, file)),
);
export const sources = files.filter((file) => /\.tsx?$/.test(file));
/** Sources of the product: all except tests and benchmarks. */
export const product = sources.filter((file) => !/^(test|bench)\//.test(file));

export const textOf = (file: string): string => readFileSync(join(root, file), 'utf8');

/** `to`: the path of a file of the project, or the name of a package. `onDemand`: by a call of `import`. */
export type Import = { from: string; to: string; typesOnly: boolean; onDemand: boolean };

const STATIC = /(?:^|\n)(?:import|export)(\s+type\b)?\s+(?:[\w*{}\s,$]*?\sfrom\s+)?['"]([^'"\n]+)['"];/g;
const DYNAMIC = /\bimport\(\s*['"]([^'"\n]+)['"]/g;

export const imports: Import[] = sources.flatMap((from) => {
  const text = textOf(from);
  return [
    ...[...text.matchAll(STATIC)].map(([, type, name]) => ({
      name,
      typesOnly: type !== undefined,
      onDemand: false,
    })),
    ...[...text.matchAll(DYNAMIC)].map(([, name]) => ({ name, typesOnly: false, onDemand: true })),
  ].map(({ name, ...how }) => ({ from, to: resolve(from, name as string), ...how }));
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

/** Imports as the edges of a graph. `nameOf` maps a file to its node, such as its folder. */
export function graphOf(selected: readonly Import[], nameOf = (file: string) => file): Edges {
  const edges = new Map<string, Set<string>>();
  for (const { from, to } of selected) {
    const [source, target] = [nameOf(from), nameOf(to)];
    if (source !== target) edges.set(source, (edges.get(source) ?? new Set()).add(target));
  }
  return edges;
}

/** All nodes that can be reached from `start`; `start` itself only as part of a cycle. */
export function reachedFrom(start: string, edges: Edges): Set<string> {
  const reached = new Set<string>();
  const pending = [start];
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    for (const next of edges.get(node) ?? []) {
      if (reached.has(next)) continue;
      reached.add(next);
      pending.push(next);
    }
  }
  return reached;
}

/** Cycles: groups of nodes that reach each other (Tarjan's algorithm). */
export function cyclesIn(edges: Edges): string[][] {
  const order = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const found: string[][] = [];
  const visit = (node: string): number => {
    const index = order.size;
    order.set(node, index);
    low.set(node, index);
    stack.push(node);
    const lowerTo = (other: number) => low.set(node, Math.min(low.get(node) as number, other));
    for (const next of edges.get(node) ?? []) {
      if (!order.has(next)) lowerTo(visit(next));
      else if (stack.includes(next)) lowerTo(order.get(next) as number);
    }
    if (low.get(node) === index) {
      const group = stack.splice(stack.indexOf(node));
      if (group.length > 1) found.push(group.sort());
    }
    return low.get(node) as number;
  };
  for (const node of edges.keys()) if (!order.has(node)) visit(node);
  return found;
}
