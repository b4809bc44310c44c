import { createReadStream, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { Fault } from '#proto/contract/fault.ts';
import { files } from '#proto/document/files.ts';
import { environmentFields } from '#proto/document/resolve/module-environment.ts';
import type { Overrides } from '#proto/document/resolve/resolve.ts';
import { checkDocument, findingText } from '../../document/document-check.ts';
import { plural } from '../../terminal/figures.ts';
import { terminalWidth, wrapLines } from '../../terminal/layout.ts';
import { EXIT_USAGE, Refusal } from '../../terminal/refusal.ts';
import { print, printJson } from '../../terminal/terminal.ts';

/** Max size of a document, in bytes: a later start would read it completely into memory, too. */
const MAX_BYTES = 8 * 1024 * 1024;
const STDIN = '-';

type Options = { data: string; environment: boolean; strict?: boolean; json?: boolean };

/** `terrace config check`. @throws Refusal if the document can't be read */
export async function checkConfiguration(given: string, options: Options): Promise<void> {
  const { data, environment, strict = false, json } = options;
  const file = given === STDIN ? 'stdin' : given;
  const defaults = environment ? defaultsOf(resolve(data)) : {};
  const { complaints, warnings } = checkDocument({
    text: await readDocument(given),
    // Relative paths of a document on stdin are relative to the present folder, as those of one in it.
    file: resolve(given === STDIN ? 'stdin' : given),
    defaults,
    // At a start, the password of a connection string is written to its file before the document is checked.
    files: {
      ...files,
      readable: (path) => path === defaults.parent?.passwordFile || files.readable(path),
    },
    modeOf,
    now: Date.now(),
  });
  const isValid = complaints.length === 0 && !(strict && warnings.length > 0);
  if (json) printJson(JSON.stringify({ file, valid: isValid, complaints, warnings }, null, 2));
  else {
    const lines = [
      ...complaints.map((one) => findingText(file, one)),
      ...warnings.map((one) => findingText(file, { ...one, message: `warning: ${one.message}` })),
      summaryOf(file, complaints.length, warnings.length),
    ];
    const text = lines.join('\n');
    print(process.stdout.isTTY ? wrapLines(text, terminalWidth()) : text);
  }
  if (!isValid) process.exitCode = EXIT_USAGE;
}

function summaryOf(file: string, complaints: number, warnings: number): string {
  const also = warnings > 0 ? `, with ${plural(warnings, 'warning')}` : '';
  return complaints > 0
    ? `${file} is not valid: ${plural(complaints, 'fault')}${also}.`
    : `${file} is valid${also}.`;
}

/** @throws Refusal */
function defaultsOf(data: string): Overrides {
  try {
    return environmentFields(process.env, data, files.readable).fields;
  } catch (error) {
    if (Fault.is(error)) throw new Refusal(`${error.message}; --no-environment leaves it out`, EXIT_USAGE);
    throw error;
  }
}

/** @throws Refusal */
async function readDocument(given: string): Promise<string> {
  try {
    return await readBounded(given === STDIN ? process.stdin : createReadStream(given), given);
  } catch (error) {
    if (error instanceof Refusal) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    if (code === 'EISDIR') throw new Refusal(`${given} is a folder: name the document in it`, EXIT_USAGE);
    throw new Refusal(`${given} can't be read (${code}): name a readable file`, EXIT_USAGE);
  }
}

async function readBounded(stream: AsyncIterable<Buffer>, given: string): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > MAX_BYTES) {
      throw new Refusal(`${given} has more than ${MAX_BYTES} bytes: it is no document`, EXIT_USAGE);
    }
  }
  return Buffer.concat(chunks, size).toString('utf8');
}

function modeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.mode;
}
