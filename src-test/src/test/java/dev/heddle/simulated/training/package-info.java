/** The captioning example, trained on simulated GPUs through the production code. */
@NullMarked
package dev.heddle.simulated.training;

import org.jspecify.annotations.NullMarked;
