package dev.heddle.jmh;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A JVM that trains one model, led over its standard input; see {@link StepProtocol}. */
final class StepWorkerProcess implements AutoCloseable {
  private final Process process;
  private final BufferedWriter commands;
  private final BufferedReader answers;
  private final String about;

  /**
   * Starts {@code mainClass} in this JVM's Java, with its class path, and waits until it is ready.
   *
   * @param jvmArguments further flags of that JVM
   */
  StepWorkerProcess(String mainClass, StepModel model, int threads, List<String> jvmArguments) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    // The flags of the launcher: tensors live outside the heap.
    command.add("-XX:+UseSerialGC");
    command.add("-Xmx512m");
    command.add("--add-modules=jdk.incubator.vector");
    command.add("--enable-native-access=ALL-UNNAMED");
    command.addAll(jvmArguments);
    command.add("-cp");
    command.add(System.getProperty("java.class.path"));
    command.add(mainClass);
    command.add(model.name());
    command.add(Integer.toString(threads));
    try {
      ProcessBuilder builder = new ProcessBuilder(command);
      builder.redirectError(ProcessBuilder.Redirect.INHERIT);
      builder.environment().put("OMP_NUM_THREADS", Integer.toString(threads));
      process = builder.start();
      commands = process.outputWriter();
      answers = process.inputReader();
      about = waitFor("READY ").substring("READY ".length());
    } catch (IOException e) {
      throw new UncheckedIOException("starting " + command, e);
    }
  }

  /** What the process says it is. */
  String about() {
    return about;
  }

  /** Runs one step there. */
  StepProtocol.Cost step() {
    return StepProtocol.Cost.parse(ask("step", "STEP "));
  }

  /** The most memory it has used so far. */
  StepProtocol.Memory memory() {
    return StepProtocol.Memory.parse(ask("memory", "MEMORY "));
  }

  private String ask(String command, String tag) {
    try {
      commands.write(command);
      commands.newLine();
      commands.flush();
      return waitFor(tag);
    } catch (IOException e) {
      throw new UncheckedIOException(about + ": asked to " + command, e);
    }
  }

  private String waitFor(String tag) throws IOException {
    String line = answers.readLine();
    while (line != null && !line.startsWith(tag)) {
      line = answers.readLine();
    }
    if (line == null) {
      throw new IOException("the process ended; its messages are above");
    }
    return line;
  }

  /** Asks it to end, and ends it if it does not within seconds. */
  @Override
  public void close() {
    try {
      commands.write("quit");
      commands.newLine();
      commands.flush();
    } catch (IOException e) {
      // It is gone already.
    }
    try {
      if (!process.waitFor(20, TimeUnit.SECONDS)) {
        process.destroyForcibly();
      }
    } catch (InterruptedException e) {
      process.destroyForcibly();
      Thread.currentThread().interrupt();
    }
  }
}
