/** The test plan for GPUs, run to its end on simulated ones. */
@NullMarked
package dev.heddle.simulated.check;

import org.jspecify.annotations.NullMarked;
