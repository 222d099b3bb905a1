#!/usr/bin/env node
/**
 * `moku`, the command. The exit code is set, not forced: output that waits in a pipe still gets out.
 */
import { runCommand } from './program.js';
import { processTerminal } from './terminal.js';

// Whoever read has gone: commands end by themselves, without a word.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});
process.stderr.on('error', () => {});

process.exitCode = await runCommand(process.argv.slice(2), {
  terminal: processTerminal,
  connect: async (options) => {
    const { connect } = await import('../connect.js');
    return connect(options);
  },
});
