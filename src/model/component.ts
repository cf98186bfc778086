// The five kinds of state that an agent is made of.

/** The components, in the order in which people are shown them. */
export const COMPONENTS = ['configuration', 'state', 'skills', 'runtime', 'custom'] as const;

/** One of the five components. */
export type Component = (typeof COMPONENTS)[number];

/** How much of an agent one component is. */
export interface ComponentSize {
  readonly name: Component;
  readonly files: number;
  readonly sizeBytes: number;
}
