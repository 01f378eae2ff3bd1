package dev.heddle.bindings;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Runs a main class in a new JVM with this one's class path. */
final class ChildJvm {
  private ChildJvm() {}

  static Process start(Class<?> main, String... jvmArguments) throws Exception {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("--enable-native-access=ALL-UNNAMED");
    command.add("-XX:TieredStopAtLevel=1");
    command.addAll(List.of(jvmArguments));
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), main.getName()));
    return new ProcessBuilder(command).redirectErrorStream(true).start();
  }

  /** What it printed on both streams; fails if it did not end with 0. */
  static String run(Class<?> main, String... jvmArguments) throws Exception {
    return output(start(main, jvmArguments));
  }

  static String output(Process process) throws Exception {
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    int status = process.waitFor();
    if (status != 0) {
      throw new AssertionError("the JVM ended with " + status + ":\n" + output);
    }
    return output;
  }
}
