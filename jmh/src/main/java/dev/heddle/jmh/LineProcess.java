package dev.heddle.jmh;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * A process that is led over its standard input, a line a command, and answers each with a line
 * that begins with an agreed word; what it prints besides is passed over, and told only if it
 * fails. It rests between commands, so that another process can have its turn.
 */
public final class LineProcess implements AutoCloseable {
  private final String name;
  private final Process process;
  private final BufferedWriter commands;
  private final BufferedReader answers;
  private final Path messages;

  /**
   * Starts {@code command}.
   *
   * @param environment variables that are set there; an empty value removes one
   */
  public LineProcess(List<String> command, Map<String, String> environment) {
    // Without flags and class path: what tells it from others.
    this.name =
        String.join(
            " ",
            command.subList(
                command.contains("-cp") ? command.indexOf("-cp") + 2 : 0, command.size()));
    ProcessBuilder builder = new ProcessBuilder(command);
    // As the launcher sets it, and as the peers have it.
    builder.environment().put("MALLOC_ARENA_MAX", "1");
    environment.forEach(
        (name, value) -> {
          if (value.isEmpty()) {
            builder.environment().remove(name);
          } else {
            builder.environment().put(name, value);
          }
        });
    try {
      messages = Files.createTempFile("heddle-bench", ".txt");
      builder.redirectError(messages.toFile());
      process = builder.start();
    } catch (IOException e) {
      throw new UncheckedIOException("starting " + command, e);
    }
    commands = process.outputWriter();
    answers = process.inputReader();
  }

  /** The words that start {@code mainClass} in this JVM's Java, with its class path. */
  public static List<String> java(
      String mainClass, List<String> jvmArguments, List<String> arguments) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    // The flags of the launcher: tensors live outside the heap.
    command.add("-XX:+UseSerialGC");
    command.add("-XX:MaxNewSize=24m");
    command.add("-XX:+UseCondCardMark");
    command.add("-Xmx512m");
    command.add("--add-modules=jdk.incubator.vector");
    command.add("--enable-native-access=ALL-UNNAMED");
    command.addAll(jvmArguments);
    command.add("-cp");
    command.add(System.getProperty("java.class.path"));
    command.add(mainClass);
    command.addAll(arguments);
    return command;
  }

  /**
   * Says {@code line} and returns what the answer has behind {@code tag}.
   *
   * @throws UncheckedIOException if the process ends instead
   */
  public String ask(String line, String tag) {
    try {
      commands.write(line);
      commands.newLine();
      commands.flush();
    } catch (IOException e) {
      throw new UncheckedIOException(name + ": asked to " + line, e);
    }
    return await(tag);
  }

  /**
   * What the next line that begins with {@code tag} has behind it.
   *
   * @throws UncheckedIOException if the process ends instead
   */
  public String await(String tag) {
    try {
      String line = answers.readLine();
      while (line != null && !line.startsWith(tag)) {
        line = answers.readLine();
      }
      if (line == null) {
        throw new IOException("the process ended; it said:\n" + Files.readString(messages));
      }
      return line.substring(tag.length());
    } catch (IOException e) {
      throw new UncheckedIOException(name + ": " + e.getMessage(), e);
    }
  }

  /** Closes its input, and ends it if it does not end within seconds. */
  @Override
  public void close() {
    try {
      commands.close();
    } catch (IOException e) {
      // It is gone already.
    }
    try {
      if (!process.waitFor(20, TimeUnit.SECONDS)) {
        process.destroyForcibly();
      }
      Files.deleteIfExists(messages);
    } catch (IOException e) {
      // A message more or less in the folder of temporary files.
    } catch (InterruptedException e) {
      process.destroyForcibly();
      Thread.currentThread().interrupt();
    }
  }
}
