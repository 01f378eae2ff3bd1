package dev.heddle.train.run;

import java.nio.file.Path;

/** Is told how a run goes; called on rank 0's thread, so it should be brief. */
public interface TrainingListener {
  /** A step is done. */
  void stepDone(StepMetrics metrics);

  /** A checkpoint is on the disk. */
  default void checkpointWritten(long step, Path folder) {}
}
