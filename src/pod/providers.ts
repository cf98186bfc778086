// The providers by their names. What a container engine needs is loaded only where a pod asks for it.

import type { Provider } from './provider.ts';
import type { ProviderName } from './spec.ts';

/** Returns the provider of this name. */
export async function getProvider(name: ProviderName): Promise<Provider> {
  if (name === 'process') return (await import('./process.ts')).processProvider;
  const { makeContainerProvider } = await import('./container.ts');
  return makeContainerProvider(name);
}
