/**
 * Boundaries between layouts, as what benchmarks run: which layouts, how many rows, by which
 * strategy and communicator, out of which memory; what each of these has to deliver, and the plain
 * copies that it stands beside.
 */
@NullMarked
package dev.heddle.jmh.boundary;

import org.jspecify.annotations.NullMarked;
