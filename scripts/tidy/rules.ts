/** Every rule, in the order in which its problems are shown. */
import { longFunctions } from './exceptions.js';
import type { Rule } from './project.js';
import { barrelsRule } from './rule-barrels.js';
import { boundariesRule } from './rule-boundaries.js';
import { cyclesRule } from './rule-cycles.js';
import { deadExportsRule } from './rule-dead-exports.js';
import { documentsRule } from './rule-documents.js';
import { floorsRule } from './rule-floors.js';
import { leftoversRule } from './rule-leftovers.js';
import { lengthsRule } from './rule-lengths.js';
import { manifestsRule } from './rule-manifests.js';
import { purityRule } from './rule-purity.js';
import { sleepsRule } from './rule-sleeps.js';

export const rules: readonly Rule[] = [
  floorsRule,
  manifestsRule,
  boundariesRule,
  cyclesRule,
  barrelsRule,
  purityRule,
  lengthsRule(longFunctions),
  deadExportsRule,
  leftoversRule,
  sleepsRule,
  documentsRule,
];
