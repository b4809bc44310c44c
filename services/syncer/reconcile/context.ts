import type { Log } from '#proto/bus.ts';
import type { Configuration } from '#proto/configuration.ts';
import type { Digest } from '#proto/names.ts';
import type { Volume } from '#proto/volume.ts';
import type { Announcement } from '../announcement.ts';
import type { Activation } from '../link/activation.ts';
import type { AcrMetadata } from '../link/azure/metadata.ts';
import type { ParentFeed } from '../link/feed.ts';
import type { Parent } from '../link/parent.ts';
import type { Upward } from '../link/upward.ts';
import type { PassBus } from '../pass-bus.ts';
import type { Wish } from '../wish.ts';
import type { AcrNews } from './acr-news.ts';
import type { Arrivals } from './arrivals.ts';
import type { BringMeans } from './bring.ts';
import type { Heard, News } from './news.ts';
import type { Outgoing } from './outgoing.ts';
import type { Oversized } from './oversized.ts';
import type { Parking } from './parking.ts';
import type { Tally } from './tally.ts';

export type SendMeans = BringMeans & {
  parent: Pick<Parent, 'resolve'>;
  upward: Upward;
  arrivals: Pick<Arrivals, 'send'>;
  outgoing: Pick<Outgoing, 'isUnsent'>;
  /** What is not selected is not the layer's to speak of, at the parent. */
  configuration: Pick<Configuration, 'repositories'>;
};

export type PassMeans = {
  bus: PassBus;
  announcement: Pick<Announcement, 'announced'>;
  volume: Volume;
  parent: Parent;
  upward: Upward;
  feed: Pick<ParentFeed, 'changes' | 'repaired'>;
  activation: Activation;
  news: News;
  /** Where the parent is an Azure Container Registry. */
  acr: AcrMetadata | undefined;
  acrNews: AcrNews;
  configuration: Configuration;
  log: Log;
  /** This process, and the name of its layer. */
  by: string;
  layer: string;
  /** One that ends because of the window or the configuration has a Fault as its reason: see `endedBy`. */
  signal: AbortSignal;
  /** When the window closes. */
  until?: number;
};

/** What the parts of one pass share. */
export type Context = PassMeans & {
  wish: Wish;
  /** What the parent told; undefined where everything is looked at, or just what the wish says. */
  heard: Heard | undefined;
  pass: string;
  arrivals: Arrivals;
  outgoing: Outgoing;
  parking: Parking;
  withheld: Set<Digest>;
  oversized: Oversized;
  tally: Tally;
};
