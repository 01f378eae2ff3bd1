package dev.heddle.train.run;

import dev.heddle.train.report.StepMetrics;
import java.nio.file.Path;

/** Is told how a run goes; called on rank 0's thread, so it should be brief. */
public interface TrainingListener {
  /** A step is done. */
  void stepDone(StepMetrics metrics);

  /** A step's gradient was not finite, so its update was left out on every rank. */
  default void stepSkipped(long step) {}

  /** A checkpoint is on the disk. */
  default void checkpointWritten(long step, Path folder) {}
}
