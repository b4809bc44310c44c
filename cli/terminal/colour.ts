import { Option } from 'commander';

/**
 * Colours of the output for people: only the terminal's own sixteen, so that each of its themes shows them, and never
 * the only sign of anything. They are added to text that is safe already (terminal.ts).
 */

export type ColourWhen = 'auto' | 'always' | 'never';

const codes = { bad: '31', good: '32', warning: '35', active: '36', faint: '2', strong: '1' } as const;
export type Tone = keyof typeof codes;

export const colourOption = () =>
  new Option(
    '--color <when>',
    'colours: auto (for terminals; NO_COLOR and FORCE_COLOR count), always or never',
  )
    .choices(['auto', 'always', 'never'])
    .default('auto');

/** Whether to use colours: by the option, else by NO_COLOR (no-color.org) and FORCE_COLOR, else for a terminal. */
export function usesColour(
  when: ColourWhen,
  isTerminal = process.stdout.isTTY === true,
  env: NodeJS.ProcessEnv = process.env,
): boolean {
  if (when !== 'auto') return when === 'always';
  const { NO_COLOR, FORCE_COLOR, TERM } = env;
  if (NO_COLOR) return false;
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== '') return FORCE_COLOR !== '0' && FORCE_COLOR !== 'false';
  return isTerminal && TERM !== 'dumb';
}

export const toned = (tone: Tone, text: string): string => `\u001b[${codes[tone]}m${text}\u001b[0m`;

const words: Record<string, Tone> = {
  Online: 'good',
  continuous: 'good',
  Syncing: 'active',
  Unhealthy: 'warning',
  Failing: 'warning',
  Parked: 'warning',
  Offline: 'bad',
  unknown: 'bad',
};
const WORDS = new RegExp(`(?<![\\w/@.-])(${Object.keys(words).join('|')})(?![\\w/@.-])`, 'g');
/** Lines that need a person, by a part that only they have. */
const ALARMS = /does not answer\.$|EXPIRED|: AWAY for|^\s*LOST to it/;
/** Severities of problems (../text/problem-text.ts). */
const SEVERITIES = /^(error|warning)(?= {2})/;
/** Titles of tables. */
const TITLES = /^[A-Z][A-Z ]+$/;

/** Colours the states in a text for people, its alarms, and the titles of its tables. */
export function paintStates(text: string): string {
  return text
    .split('\n')
    .map((line) => {
      if (ALARMS.test(line)) return toned('bad', line);
      if (TITLES.test(line)) return toned('strong', line);
      return line
        .replace(SEVERITIES, (word) => toned(word === 'error' ? 'bad' : 'warning', word))
        .replace(WORDS, (word) => toned(words[word] as Tone, word));
    })
    .join('\n');
}
