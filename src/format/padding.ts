// Padmé: sizes that reveal only about log log of what they hold.

/**
 * Returns the padded length of a container: at most 12% more, and only O(log log n) different values.
 * Source: Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", PETS 2019, section 4.
 */
export function padme(lengthBytes: number): number {
  if (lengthBytes < 2) return lengthBytes;
  const exponent = Math.floor(Math.log2(lengthBytes));
  const lastBits = exponent - (Math.floor(Math.log2(exponent)) + 1);
  if (lastBits <= 0) return lengthBytes;
  const unit = 2 ** lastBits;
  return Math.ceil(lengthBytes / unit) * unit;
}
