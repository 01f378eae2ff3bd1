/** Production code of {@code dev.heddle.runtime.cuda} on the simulated CUDA driver. */
package dev.heddle.simulated.driver;
