/**
 * What a node's process wrote, for those who have to say why it ended.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const bytesMax = 256 * 1024;
const linesMax = 8;

/** The log from `start` on, at most its last 256 KiB; empty when there is none. */
export function readFrom(file: string, start: number): string {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch {
    // The process never came to write anything.
    return '';
  }
  try {
    const from = Math.max(start, fstatSync(descriptor).size - bytesMax);
    const buffer = Buffer.alloc(bytesMax);
    const length = readSync(descriptor, buffer, 0, bytesMax, from);
    return buffer.toString('utf8', 0, length);
  } finally {
    closeSync(descriptor);
  }
}

/** The last lines, in one. */
export function lastLines(log: string): string {
  return log.trimEnd().split('\n').slice(-linesMax).join(' | ');
}

/** The error code with which a node refused to start, or stopped, as its log says. */
export function codeOfFailure(log: string): string | undefined {
  for (const line of log.trimEnd().split('\n').reverse()) {
    if (!line.startsWith('{')) continue;
    try {
      const { level, code } = JSON.parse(line) as { level?: unknown; code?: unknown };
      if (level === fatalLevel && typeof code === 'string') return code;
    } catch {
      // A line that was cut off says nothing.
    }
  }
  return undefined;
}

/** pino's. */
const fatalLevel = 60;
