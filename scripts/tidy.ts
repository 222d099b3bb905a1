/**
 * Fails on whatever breaks the repository's own rules, which neither the compiler nor the linter
 * knows: see the headers of `scripts/tidy/rule-*.ts`. Reads files, writes none.
 */
import { fileURLToPath } from 'node:url';
import { loadProject } from './tidy/project.js';
import { rules } from './tidy/rules.js';

const project = loadProject(fileURLToPath(new URL('..', import.meta.url)));
let problemCount = 0;
for (const rule of rules) {
  for (const { path, line, message } of rule.check(project)) {
    problemCount += 1;
    console.log(`${path}${line === undefined ? '' : `:${line}`}  ${message}  [${rule.name}]`);
  }
}
console.log(`${project.sources.size} files, ${rules.length} rules, ${problemCount} problems`);
process.exitCode = problemCount === 0 ? 0 : 1;
