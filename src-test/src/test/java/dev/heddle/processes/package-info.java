/** The {@code heddle} command in several processes, as {@code mpirun} starts it. */
package dev.heddle.processes;
