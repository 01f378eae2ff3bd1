package dev.heddle.jmh;

import java.io.IOException;

/** Our side of the comparison: {@link StepTrainer}, led by {@link StepComparison}. */
public final class HeddleStepWorker {
  private HeddleStepWorker() {}

  /** Arguments: the model's name and the number of threads. */
  public static void main(String[] arguments) throws IOException {
    StepModel model = StepModel.named(arguments[0]);
    try (StepTrainer trainer = new StepTrainer(model, Integer.parseInt(arguments[1]))) {
      StepProtocol.serve(
          "Heddle on " + trainer.device(),
          trainer::step,
          () -> trainer.device().memory().peakLiveBytes());
    }
  }
}
