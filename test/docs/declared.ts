import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Event, Job, Request, State } from '#proto/contract/contract.ts';
import { type FaultCode, faultCodes } from '#proto/contract/fault.ts';

/** All messages that `proto/` declares, with the docstring of each. */

export type Declared = Request | Job | Event | State;
export type Message<T extends Declared = Declared> = {
  message: T;
  /** The export: `locateBlob`. */
  name: string;
  /** `proto/content/blobs.ts` */
  file: string;
  /** Docstring of the declaration, in one line, without its list of faults. */
  description: string;
  faults: FaultCode[];
};

const KINDS = ['request', 'job', 'event', 'state'];
const root = join(import.meta.dirname, '../..');

const isDeclared = (value: unknown): value is Declared =>
  KINDS.includes((value as Declared | undefined)?.kind ?? '');

const declaredIn = (value: unknown, depth = 0): Declared[] =>
  isDeclared(value)
    ? [value]
    : typeof value === 'object' && value !== null && depth < 3
      ? Object.values(value).flatMap((one) => declaredIn(one, depth + 1))
      : [];

const DOCSTRING = /\/\*\*((?:(?!\*\/).)*)\*\/\s*export const (\w+)/gs;

/** Docstrings by the name that is exported after them. */
function docstringsOf(text: string): Map<string, string> {
  const found = [...text.matchAll(DOCSTRING)];
  return new Map(
    found.map(([, comment = '', name = '']) => [name, comment.replace(/\s*\n\s*\*?\s*/g, ' ').trim()]),
  );
}

/** The codes that a docstring names after `Faults:`. */
function faultsIn(docstring: string): FaultCode[] {
  const [, listed = ''] = /Faults: (.*)$/.exec(docstring) ?? [];
  const named = new Set([...listed.matchAll(/`([a-z-]+)`/g)].map(([, code]) => code));
  return faultCodes.filter((code) => named.has(code));
}

async function messagesOf(file: string): Promise<Message[]> {
  const text = readFileSync(join(root, file), 'utf8');
  const docstrings = docstringsOf(text);
  const module = (await import(join(root, file))) as Record<string, unknown>;
  const positionOf = (name: string) => text.indexOf(`export const ${name} `);
  const exported = Object.entries(module).sort(([a], [b]) => positionOf(a) - positionOf(b));
  return exported.flatMap(([name, value]) => {
    // A module may re-export declarations of another one.
    if (positionOf(name) < 0) return [];
    const docstring = docstrings.get(name) ?? '';
    const description = docstring.replace(/\s*Faults: .*$/, '');
    return declaredIn(value).map((message) => ({
      message,
      name,
      file,
      description,
      faults: faultsIn(docstring),
    }));
  });
}

const files = readdirSync(join(root, 'proto'), { encoding: 'utf8', recursive: true })
  .filter((file) => file.endsWith('.ts'))
  .sort()
  .map((file) => `proto/${file}`);

export const messages: Message[] = (await Promise.all(files.map(messagesOf))).flat();

export const ofKind = <K extends Declared['kind']>(kind: K): Message<Extract<Declared, { kind: K }>>[] =>
  messages.filter(({ message }) => message.kind === kind) as Message<Extract<Declared, { kind: K }>>[];
