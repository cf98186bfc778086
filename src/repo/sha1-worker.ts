// The thread of Sha1Thread. It takes its orders without an event loop: counters in shared memory wake it and say how far it is.

import { createHash, type Hash } from 'node:crypto';
import { receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads';
import { SHA1_BYTES, SHA1_CONTROL, type Sha1Order, type Sha1Setup } from './sha1-orders.ts';

const { port, control } = workerData as Sha1Setup;
serve(port, control);

function serve(port: MessagePort, control: Int32Array<SharedArrayBuffer>): never {
  let hash: Hash | undefined;
  const carryOut = (order: Sha1Order): void => {
    if (order.type === 'start') hash = createHash('sha1').update(order.header);
    else if (order.type === 'bytes') hash?.update(Buffer.from(order.memory, order.offset, order.length));
    else hash?.digest().copy(Buffer.from(control.buffer, SHA1_CONTROL.digestOffset, SHA1_BYTES));
  };
  for (let done = 0; ;) {
    Atomics.wait(control, SHA1_CONTROL.sent, done);
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
      carryOut(next.message as Sha1Order);
      done += 1;
      Atomics.store(control, SHA1_CONTROL.done, done);
      Atomics.notify(control, SHA1_CONTROL.done);
    }
  }
}
