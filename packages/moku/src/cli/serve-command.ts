/**
 * The options of `moku serve`. What it loads (storage, the checker of settings) is loaded when it runs.
 */
import { MokuError } from '@moku/base';
import type { Command } from 'commander';
import type { Cli } from './cli.js';
import { refuseClientOptions } from './client-options.js';
import type { RawSettings } from './config.js';
import { flagOf, settingNames, settings, variableOf } from './settings.js';

interface ServeFlags extends RawSettings {
  readonly config?: string;
  readonly printConfig?: boolean;
  readonly untilStdinEnds?: boolean;
  readonly json?: boolean;
}

export function addServe(program: Command, cli: Cli): void {
  const command = program.command('serve').description('run one node until SIGTERM or Ctrl-C');
  for (const name of settingNames) {
    const { argument, help } = settings[name];
    command.option(`${flagOf(name)} <${argument}>`, help);
  }
  command
    .option('--config <file>', 'JSON object of settings (or MOKU_CONFIG)')
    .option('--print-config', 'print every setting and where it comes from, and end')
    .option('--until-stdin-ends', 'end when standard input ends, as on SIGTERM')
    .option('--json', 'with --print-config: as JSON')
    .action(async (flags: ServeFlags) => {
      refuseClientOptions(command);
      await run(command, cli, flags);
    });
  command.addHelpText(
    'after',
    `
A setting is taken from its option, else from its variable (${variableOf('nodeId')} for ${flagOf('nodeId')}), else
from the config file ({"nodeId":1,…}), else its default. Logs are JSON lines on standard output.

Examples:
  moku serve --dir ./data
  moku serve --dir ./n1 --node-id 1 --cluster shop --admin 127.0.0.1:7600 \\
    --nodes 1=10.0.0.1:7500/10.0.0.1:7400,2=10.0.0.2:7500/10.0.0.2:7400,3=10.0.0.3:7500/10.0.0.3:7400
  MOKU_DIR=./data moku serve --print-config`,
  );
}

async function run(command: Command, cli: Cli, flags: ServeFlags): Promise<void> {
  const { env, stdin } = cli.terminal;
  const { config: given, printConfig: isPrinting, untilStdinEnds, json: _, ...raw } = flags;
  if (given === '') {
    throw new MokuError('CONFIG_INVALID', { field: 'config', rule: 'a path that is not empty' });
  }
  const [{ resolveConfig }, { printConfig, serve }] = await Promise.all([
    import('./config.js'),
    import('./serve.js'),
  ]);
  const resolved = resolveConfig(raw, env, given ?? (env['MOKU_CONFIG'] || undefined));
  if (isPrinting === true) await printConfig(resolved, cli.output(command));
  else await serve({ resolved, untilEndOf: untilStdinEnds === true ? stdin : undefined });
}
