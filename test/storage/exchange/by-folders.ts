import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Exchange } from '#proto/document/exchanges.ts';
import type { ExchangeStatus } from '#proto/status/archive-exchange.ts';
import { TwoSides } from '../archive/two-sides.ts';
import type { Rig } from '../rig.ts';

const HOUR_MS = 3_600_000;

const selection = { referrers: true, priority: 0, conflict: 'parent-wins' as const };

/** Two layers, of which `south` has `north` as its parent, and the folders between them. */
export class ByFolders implements AsyncDisposable {
  readonly sides: TwoSides;
  readonly #selected: string;

  /** @param selected by the south */
  static async open(
    changes: Partial<Record<'north' | 'south', Partial<Exchange>>> = {},
    selected = '*',
  ): Promise<ByFolders> {
    const by = new ByFolders(await TwoSides.open(), selected);
    for (const name of ['north-in', 'north-out', 'south-in', 'south-out']) await mkdir(by.folder(name));
    await by.configure(changes);
    // The schedules begin.
    for (const rig of [by.north, by.south]) await rig.storage.exchanges.poll();
    return by;
  }

  private constructor(sides: TwoSides, selected: string) {
    this.sides = sides;
    this.#selected = selected;
  }

  get north(): Rig {
    return this.sides.north;
  }

  get south(): Rig {
    return this.sides.south;
  }

  async configure({
    north,
    south,
  }: Partial<Record<'north' | 'south', Partial<Exchange>>> = {}): Promise<void> {
    const common = {
      outboxSchedule: '0 * * * *',
      maxPartBytes: 70_000,
      verifyKeyFiles: [],
      mode: 'ReadWrite' as const,
    };
    const above: Exchange = {
      ...common,
      ...{ peer: 'south', side: 'parent', repositories: ['*'] },
      ...{ inbox: this.folder('north-in'), outbox: this.folder('north-out') },
      ...north,
    };
    const below: Exchange = {
      ...common,
      ...{ peer: 'north', side: 'child', repositories: [] },
      ...{ inbox: this.folder('south-in'), outbox: this.folder('south-out') },
      ...south,
    };
    for (const [rig, exchange, repositories] of [
      [this.north, above, []],
      [this.south, below, [{ ...selection, name: this.#selected }]],
    ] as const) {
      const configuration = { exchanges: [exchange], repositories: [...repositories] };
      rig.storage.exchanges.configure(configuration);
      await rig.storage.archives.configure(configuration);
    }
  }

  folder(name: string): string {
    return join(this.sides.folder, name);
  }

  files(name: string): Promise<string[]> {
    return readdir(this.folder(name)).then((names) => names.sort());
  }

  /** Copies all files of one outbox into the inbox of the other side. */
  async carry(from: 'north' | 'south'): Promise<string[]> {
    const to = from === 'north' ? 'south' : 'north';
    const names = (await this.files(`${from}-out`)).filter(
      (name) => name.startsWith('terrace-') && !name.endsWith('.txt'),
    );
    for (const name of names) {
      await copyFile(join(this.folder(`${from}-out`), name), join(this.folder(`${to}-in`), name));
    }
    return names;
  }

  /** Changes one byte of a file of an inbox. */
  async damage(inbox: 'north-in' | 'south-in', name: string, at: number): Promise<void> {
    const path = join(this.folder(inbox), name);
    const bytes = await readFile(path);
    const offset = at % bytes.length;
    bytes[offset] = 255 - (bytes[offset] as number);
    await writeFile(path, bytes);
  }

  async drop(inbox: 'north-in' | 'south-in', name: string): Promise<void> {
    await rm(join(this.folder(inbox), name), { force: true });
  }

  /** An hour passes, and the folders of this side are polled until what is there has been examined. */
  async pass(rig: Rig): Promise<ExchangeStatus> {
    rig.now += HOUR_MS;
    for (let polls = 0; polls < 3; polls += 1) await rig.storage.exchanges.poll();
    return (rig.storage.exchanges.status as ExchangeStatus[])[0] as ExchangeStatus;
  }

  /** Both sides write, and both get what the other one has written. */
  async round(): Promise<void> {
    for (const from of ['north', 'south'] as const) {
      await this.pass(this[from]);
      await this.carry(from);
      await this.pass(this[from === 'north' ? 'south' : 'north']);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sides[Symbol.asyncDispose]();
  }
}
