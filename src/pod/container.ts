// Pods in containers, by the command line of podman or docker. (Being written.)
import type { Provider } from './provider.ts';

/** Returns the provider that runs pods by an engine's command line. */
export function makeContainerProvider(engine: 'podman' | 'docker'): Provider {
  throw new Error(`not written yet: ${engine}`);
}
