/**
 * What the transport tells an operator, and how much of it: strangers decide how often they are refused,
 * so lines about them are bounded per time.
 */
import type { Clock } from '@moku/base';

/** pino's loggers have this shape. Never called per frame. */
export interface TransportLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Says nothing. */
export const silentLogger: TransportLogger = { info: () => {}, warn: () => {} };

const windowMs = 10_000;
const warningsPerWindow = 20;

/** Passes at most 20 warnings in ten seconds on; the first one after that says how many were left out. */
export class BoundedLogger implements TransportLogger {
  private readonly logger: TransportLogger;
  private readonly clock: Clock;
  private windowEndMs = 0;
  private warnings = 0;

  constructor(logger: TransportLogger, clock: Clock) {
    this.logger = logger;
    this.clock = clock;
  }

  info(fields: object, message: string): void {
    this.logger.info(fields, message);
  }

  warn(fields: object, message: string): void {
    const nowMs = this.clock.monotonicMs();
    let leftOut = 0;
    if (nowMs >= this.windowEndMs) {
      leftOut = Math.max(0, this.warnings - warningsPerWindow);
      this.windowEndMs = nowMs + windowMs;
      this.warnings = 0;
    }
    this.warnings += 1;
    if (this.warnings > warningsPerWindow) return;
    this.logger.warn(leftOut === 0 ? fields : { ...fields, leftOut }, message);
  }
}
