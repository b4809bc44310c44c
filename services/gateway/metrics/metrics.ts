import type { Bus } from '#proto/bus/bus.ts';
import { version } from '#proto/process/version.ts';
import { contentTypes, exposition, formatFor } from './exposition.ts';
import { families } from './families.ts';
import { FigureReader, type Figures } from './figures.ts';

/**
 * The metrics of a layer, for Prometheus and what reads its formats. Nothing is computed while nobody asks: this file
 * is loaded by the first scrape. `figures.ts` gathers the figures over the bus; `families.ts` lists the declarations of
 * all metrics, each with what it reads of the figures; `exposition.ts` writes the text. `http-counters.ts` counts the
 * requests of this process, by the groups of `route-classes.ts`.
 */

/** Figures are shared by scrapes within this time, in ms: several scrapers cost no more than one. */
const FRESH_MS = 1_000;

export type Scrape = { type: string; text: string };

export class Metrics {
  readonly #reader: FigureReader;
  readonly #layer: () => string;
  #figures: Promise<Figures> | undefined;

  /** @param layer name of the layer, which every sample has as a label */
  constructor(bus: Bus, layer: () => string) {
    this.#reader = new FigureReader(bus, version());
    this.#layer = layer;
  }

  /** @param accept the header `Accept` of the request */
  async scrape(accept: string | undefined): Promise<Scrape> {
    const format = formatFor(accept);
    const figures = await this.#shared();
    return {
      type: contentTypes[format],
      text: exposition(families, figures, format, { layer: this.#layer() }),
    };
  }

  #shared(): Promise<Figures> {
    this.#figures ??= this.#read();
    return this.#figures;
  }

  async #read(): Promise<Figures> {
    try {
      return await this.#reader.read();
    } finally {
      setTimeout(() => {
        this.#figures = undefined;
      }, FRESH_MS).unref();
    }
  }
}
