/** The command, run on simulated GPUs. */
@NullMarked
package dev.heddle.train.cli;

import org.jspecify.annotations.NullMarked;
