// Bytes of an SQLite log (sqlite.org/fileformat2.html, section 4) as tests make them, with checksums of their own reckoning.

/** Returns a log with other bytes in its header or frames, and checksums that fit, in either byte order. */
export function reseal(log: Buffer, pageSize: number, order: 'LE' | 'BE' = 'LE'): Buffer {
  const bytes = Buffer.from(log);
  let sum = addWords([0, 0], bytes.subarray(0, 24), order);
  writeSum(bytes, 24, sum);
  for (let at = 32; at + 24 + pageSize <= bytes.length; at += 24 + pageSize) {
    bytes.copy(bytes, at + 8, 16, 24);
    sum = addWords(sum, bytes.subarray(at, at + 8), order);
    sum = addWords(sum, bytes.subarray(at + 24, at + 24 + pageSize), order);
    writeSum(bytes, at + 16, sum);
  }
  return bytes;
}

/** Returns a log with one more frame: a commit that only the file knows of. */
export function appendCommit(log: Buffer, page: Buffer, pageNumber: number, pageCount: number): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32BE(pageNumber, 0);
  header.writeUInt32BE(pageCount, 4);
  return reseal(Buffer.concat([log, header, page]), page.length);
}

function addWords([sum0, sum1]: [number, number], bytes: Buffer, order: 'LE' | 'BE'): [number, number] {
  const word = (at: number): number => (order === 'LE' ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
  for (let at = 0; at < bytes.length; at += 8) {
    sum0 = (sum0 + word(at) + sum1) >>> 0;
    sum1 = (sum1 + word(at + 4) + sum0) >>> 0;
  }
  return [sum0, sum1];
}

function writeSum(bytes: Buffer, offset: number, [sum0, sum1]: [number, number]): void {
  bytes.writeUInt32BE(sum0, offset);
  bytes.writeUInt32BE(sum1, offset + 4);
}
