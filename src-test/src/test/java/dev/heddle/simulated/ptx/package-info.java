/** The reader of PTX: what it understands, and that it refuses the rest by line. */
package dev.heddle.simulated.ptx;
