package dev.heddle.train.cli;

import java.io.PrintStream;

/**
 * What the commands do once the command line is understood; the class path's only implementation is
 * found through {@link java.util.ServiceLoader}, so that the commands can be tested without
 * training.
 */
public interface Application {

  /**
   * Is told that training will probably be asked for, before the command line is looked at, so that
   * what takes a while can begin. Returns at once.
   */
  default void prepareToTrain() {}

  /**
   * Trains a model.
   *
   * @param request what to do
   * @param launcher where the ranks are; only the process with rank 0 writes files
   * @param out where to say what is being done
   * @throws dev.heddle.train.config.ConfigException when the data do not fit the configuration
   * @throws dev.heddle.train.dataset.DatasetException when the data cannot be read
   * @throws dev.heddle.train.checkpoint.CheckpointException when the checkpoint to resume from
   *     cannot be read
   * @throws Exception when the run fails
   */
  void train(TrainRequest request, RankLauncher launcher, PrintStream out) throws Exception;

  /**
   * Prints the layout of each component, each boundary's transfers, the schedule, the predicted
   * memory and what was proved, and where asked what a step launches; runs nothing.
   *
   * @param request what is to be planned
   * @param out where to print
   * @throws Exception when a plan cannot be made
   */
  void plan(PlanRequest request, PrintStream out) throws Exception;
}
