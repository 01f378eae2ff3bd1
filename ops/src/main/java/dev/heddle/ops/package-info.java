/** Differentiable operators: one file each, forward with its backward directly below. */
package dev.heddle.ops;
