package dev.heddle.runtime.cuda;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.StepControl;

/** Launches {@code steps.cu}. */
final class CudaStepKernels {
  private final CudaLauncher launcher;
  private final CudaFunction conclude;

  CudaStepKernels(CudaLauncher launcher) {
    this.launcher = launcher;
    this.conclude = launcher.shared("steps", "step_conclude");
  }

  void conclude(NDArray control, NDArray state) {
    int optimizers = Math.toIntExact(control.size()) - StepControl.FIRST_RATE;
    LaunchArguments arguments =
        launcher.arguments().pointer(control).pointer(state).int32(optimizers);
    launcher.launch(conclude, 1, 1, 1, 1, 1, arguments);
  }
}
