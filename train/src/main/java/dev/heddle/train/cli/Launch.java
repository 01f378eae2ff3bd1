package dev.heddle.train.cli;

/** What the option {@code --launch} accepts. */
enum Launch {
  /** Ranks are threads of this JVM. */
  local,
  /** Ranks are processes that {@code mpirun} has started. */
  mpi
}
