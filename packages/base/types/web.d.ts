/**
 * The only host globals that floors 0 to 3 may use, declared as narrowly as they need them. These
 * packages are compiled without the types of Node and of the DOM, so that nothing else creeps in.
 */
declare class TextEncoder {
  encode(input?: string): Uint8Array;
  encodeInto(source: string, destination: Uint8Array): { read: number; written: number };
}

declare class TextDecoder {
  constructor(label?: 'utf-8', options?: { fatal?: boolean; ignoreBOM?: boolean });
  decode(input?: Uint8Array): string;
}
