/** Every story, by theme. */
import type { Story } from './story.js';
import { clients } from './told/clients.js';
import { clocks } from './told/clocks.js';
import { damage } from './told/damage.js';
import { disks } from './told/disks.js';
import { elections } from './told/elections.js';
import { links } from './told/links.js';
import { manyRegions } from './told/many-regions.js';
import { reads } from './told/reads.js';
import { rest } from './told/rest.js';
import { safety } from './told/safety.js';
import { snapshots } from './told/snapshots.js';

export const themes: Readonly<Record<string, readonly Story[]>> = {
  elections,
  links,
  safety,
  reads,
  disks,
  damage,
  snapshots,
  clocks,
  clients,
  rest,
  manyRegions,
};
