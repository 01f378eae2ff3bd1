package dev.heddle.jmh;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** A process that trains one model, led over its standard input; see {@link StepProtocol}. */
public final class StepWorkerProcess implements AutoCloseable {
  /**
   * How a process is started.
   *
   * @param mainClass its program, which gets the model's name, the number of threads, the precision
   *     and {@code arguments}
   * @param arguments further words
   * @param jvmArguments flags of its JVM
   * @param environment variables that are set; an empty value removes one
   */
  public record Program(
      String mainClass,
      List<String> arguments,
      List<String> jvmArguments,
      Map<String, String> environment) {}

  private final LineProcess process;

  /** Starts a process; {@link #awaitReady} before anything else. */
  public StepWorkerProcess(
      Program program, BenchmarkModel model, int threads, Precision precision) {
    List<String> arguments = new ArrayList<>();
    arguments.add(model.name());
    arguments.add(Integer.toString(threads));
    arguments.add(precision.label());
    arguments.addAll(program.arguments());
    Map<String, String> environment = new HashMap<>(program.environment());
    environment.put("OMP_NUM_THREADS", Integer.toString(threads));
    process =
        new LineProcess(
            LineProcess.java(program.mainClass(), program.jvmArguments(), arguments), environment);
  }

  /** Waits until the model is there, and returns what the process says that it is. */
  public String awaitReady() {
    return process.await(StepProtocol.READY);
  }

  /** Runs one step there. */
  public StepProtocol.Cost step() {
    return StepProtocol.Cost.parse(process.ask(StepProtocol.STEP, StepProtocol.Cost.TAG));
  }

  /** The most memory it has used so far. */
  public StepProtocol.Memory memory() {
    return StepProtocol.Memory.parse(process.ask(StepProtocol.MEMORY, StepProtocol.Memory.TAG));
  }

  @Override
  public void close() {
    process.close();
  }
}
