/**
 * Optimizers: {@link dev.heddle.optim.AdamW} updates the parameters that it is given from their
 * accumulated gradients, {@link dev.heddle.optim.CosineSchedule} says how fast. Reducing gradients
 * over ranks and the norm to clip by are the business of {@code dev.heddle.parallel.component}.
 */
package dev.heddle.optim;
