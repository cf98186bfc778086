// The part of isomorphic-git that molt uses, in a module of its own so that it can be loaded when it is needed: the package is
// CommonJS, which a bundle can't load lazily by its names.

import git from 'isomorphic-git';

/** Git's own algorithms. */
export const { findMergeBase } = git;
