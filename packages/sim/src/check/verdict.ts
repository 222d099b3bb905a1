/**
 * What a checker says. Only `pass` is green: `unknown` means that nothing was shown.
 */

export type Verdict =
  | { readonly verdict: 'pass' }
  /** explanation: why, for people, with line numbers of the history. */
  | { readonly verdict: 'fail' | 'unknown'; readonly explanation: string };

/** The worst of several, fail before unknown before pass, with all explanations of that kind. */
export function worstOf(verdicts: readonly Verdict[]): Verdict {
  for (const verdict of ['fail', 'unknown'] as const) {
    const explanations = verdicts.flatMap((one) =>
      one.verdict === verdict ? [one.explanation] : [],
    );
    if (explanations.length > 0) return { verdict, explanation: explanations.join('\n') };
  }
  return { verdict: 'pass' };
}
