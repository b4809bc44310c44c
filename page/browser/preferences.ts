import { computed, effect, signal } from '@preact/signals';

/**
 * What the page takes from the browser: `preferences.ts` what a viewer chose and the browser keeps, `clock.ts` the time
 * of the layer, `location.ts` the view that the address names, `shortcuts.ts` keys.
 */
export type Theme = 'system' | 'light' | 'dark';

const THEMES: Theme[] = ['system', 'light', 'dark'];

/** Storage may be switched off in the browser: choices then last as long as the page. */
function stored(key: string): string | null {
  try {
    return localStorage.getItem(`terrace.${key}`);
  } catch {
    return null;
  }
}

function store(key: string, value: string): void {
  try {
    localStorage.setItem(`terrace.${key}`, value);
  } catch {
    // It lasts as long as the page.
  }
}

const knownTheme = THEMES.find((theme) => theme === stored('theme'));
export const theme = signal<Theme>(knownTheme ?? 'system');
/** Single keys may be switched off: dictation software types them. */
export const shortcutsOn = signal(stored('shortcuts') !== 'off');

const preferred = matchMedia('(prefers-color-scheme: dark)');
const prefersDark = signal(preferred.matches);
preferred.addEventListener('change', ({ matches }) => {
  prefersDark.value = matches;
});

export const isDark = computed(() => (theme.value === 'system' ? prefersDark.value : theme.value === 'dark'));

export function nextTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] as Theme;
}

export function startPreferences(): void {
  effect(() => {
    document.documentElement.dataset.theme = isDark.value ? 'dark' : 'light';
    store('theme', theme.value);
  });
  effect(() => store('shortcuts', shortcutsOn.value ? 'on' : 'off'));
}
