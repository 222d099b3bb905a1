/** What the transport tells an operator; pino's loggers have this shape. Never called per frame. */
export interface TransportLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Says nothing. */
export const silentLogger: TransportLogger = { info: () => {}, warn: () => {} };
