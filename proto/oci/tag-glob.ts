/**
 * Globs of tags, matched without backtracking: for any input, the work grows with the length of glob and tag. Pure.
 *
 *   *  any characters       ?  one character      [a-z] [!a-z]  one of these, none of these
 *   {a,b}  @(a|b)  (a|b)    one of these          {a..c}        one of these characters
 *   ?(a|b)  *(a|b)  +(a|b)  none or one, any number, one or more of these
 *   !(a|b)                  anything that none of these matches in full
 */
type Part =
  | { kind: 'character'; fits: (character: string) => boolean }
  | { kind: 'star' }
  | { kind: 'group'; repeat: Repeat; options: Part[][] };
type Repeat = '@' | '?' | '*' | '+' | '!';
type Group = Extract<Part, { kind: 'group' }>;

/** Characters of tags and globs. */
const CHARACTERS = /^[\w.*?[\]{}(),|@+^!-]+$/;

/** @returns a predicate for complete tags; undefined if the text is not a glob */
export function readGlob(glob: string): ((tag: string) => boolean) | undefined {
  const parts = CHARACTERS.test(glob) ? new Parser(glob).parse() : undefined;
  return parts && ((tag) => new Match(tag).isMatch(parts));
}

/** Recursive descent; a syntax error anywhere makes `parse` return undefined. */
class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): Part[] | undefined {
    const parts = this.#sequence('');
    return this.#at === this.#text.length ? parts : undefined;
  }

  /** Reads up to one of the characters of `ends`, which is not consumed. */
  #sequence(ends: string): Part[] | undefined {
    const parts: Part[] = [];
    while (this.#at < this.#text.length && !ends.includes(this.#text[this.#at] as string)) {
      const part = this.#part();
      if (!part) return undefined;
      parts.push(part);
    }
    return parts;
  }

  #part(): Part | undefined {
    const character = this.#text[this.#at++] as string;
    if ('@?*+!'.includes(character) && this.#text[this.#at] === '(') {
      this.#at += 1;
      return this.#group(character as Repeat, '|', ')');
    }
    if (character === '(') return this.#group('@', '|', ')');
    if (character === '{') return this.#braces();
    if (character === '[') return this.#set();
    if (character === '*') return { kind: 'star' };
    if (character === '?') return { kind: 'character', fits: () => true };
    if (')]}!'.includes(character)) return undefined;
    return { kind: 'character', fits: (one) => one === character };
  }

  #group(repeat: Repeat, separator: string, end: string): Part | undefined {
    const options: Part[][] = [];
    for (;;) {
      const option = this.#sequence(separator + end);
      const next = this.#text[this.#at++];
      if (!option || next === undefined) return undefined;
      options.push(option);
      if (next === end) return { kind: 'group', repeat, options };
    }
  }

  #braces(): Part | undefined {
    const [range, first, last] = /^(\w)\.\.(\w)\}/.exec(this.#text.slice(this.#at)) ?? [];
    if (range && first && last) {
      this.#at += range.length;
      const [low, high] = first < last ? [first, last] : [last, first];
      return { kind: 'character', fits: (one) => low <= one && one <= high };
    }
    const group = this.#group('@', ',', '}');
    return group?.kind === 'group' && group.options.length > 1 ? group : undefined;
  }

  #set(): Part | undefined {
    const end = this.#text.indexOf(']', this.#at);
    const inner = end < 0 ? '' : this.#text.slice(this.#at, end);
    const negated = /^[!^]/.test(inner);
    const members = negated ? inner.slice(1) : inner;
    if (members === '' || /[()[{}!]/.test(members)) return undefined;
    this.#at = end + 1;
    const ranges: [string, string][] = [];
    for (let at = 0; at < members.length; at += 1) {
      const low = members[at] as string;
      const isRange = members[at + 1] === '-' && at + 2 < members.length;
      const high = isRange ? (members[at + 2] as string) : low;
      if (high < low) return undefined;
      ranges.push([low, high]);
      if (isRange) at += 2;
    }
    const isMember = (one: string) => ranges.some(([low, high]) => low <= one && one <= high);
    return { kind: 'character', fits: (one) => isMember(one) !== negated };
  }
}

/** Positions in a tag, each once. */
type Positions = readonly number[];

/** Matches one tag: computes all positions where a part can end, from all positions where it can begin, at once. */
class Match {
  readonly #tag: string;
  /** Ends by group and start: computed once, so that nested groups do not multiply the work. */
  #cache: Map<Group, Map<number, Positions>> | undefined;

  constructor(tag: string) {
    this.#tag = tag;
  }

  /** Whether the parts match the complete tag. */
  isMatch(parts: Part[]): boolean {
    return this.#ends(parts, [0]).includes(this.#tag.length);
  }

  #ends(parts: Part[], starts: Positions): Positions {
    let at = starts;
    for (const part of parts) {
      if (at.length === 0) return at;
      at = this.#after(part, at);
    }
    return at;
  }

  #after(part: Part, starts: Positions): Positions {
    if (part.kind === 'star') return this.#from(starts.reduce((min, at) => Math.min(min, at)));
    if (part.kind === 'group') return distinct(starts.flatMap((start) => this.#repeated(part, start)));
    const ends: number[] = [];
    for (const at of starts) {
      if (at < this.#tag.length && part.fits(this.#tag[at] as string)) ends.push(at + 1);
    }
    return ends;
  }

  /** Every position from `start` to the end of the tag. */
  #from(start: number): number[] {
    const positions: number[] = [];
    for (let at = start; at <= this.#tag.length; at += 1) positions.push(at);
    return positions;
  }

  #repeated(group: Group, start: number): Positions {
    const { repeat } = group;
    const once = this.#single(group, start);
    if (repeat === '@') return once;
    if (repeat === '?') return distinct([start, ...once]);
    if (repeat === '!') {
      const matched = new Set(once);
      return this.#from(start).filter((end) => !matched.has(end));
    }
    const reached = new Set(repeat === '*' ? [start, ...once] : once);
    // The iteration includes positions that are added during it, so each one is extended once.
    for (const at of reached) for (const end of this.#single(group, at)) reached.add(end);
    return [...reached];
  }

  #single(group: Group, start: number): Positions {
    this.#cache ??= new Map();
    let byStart = this.#cache.get(group);
    if (!byStart) {
      byStart = new Map();
      this.#cache.set(group, byStart);
    }
    let ends = byStart.get(start);
    if (!ends) {
      ends = distinct(group.options.flatMap((option) => this.#ends(option, [start])));
      byStart.set(start, ends);
    }
    return ends;
  }
}

const distinct = (positions: number[]): Positions =>
  positions.length < 2 ? positions : [...new Set(positions)];
